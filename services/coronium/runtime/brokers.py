"""How each Kafka client library of the services is told to connect."""

from typing import Any

from coronium.brokers.connection import CredentialsError
from coronium.brokers.handshake import refusal
from coronium.contract.limits import MAX_FETCH_BYTES
from coronium.runtime.errors import Refused, SettingsError
from coronium.runtime.settings import KafkaSettings


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return connection options, which kafka-python and aiokafka name alike.

    Raises
    ------
    SettingsError
        A certificate or a key cannot be used.
    """
    try:
        return kafka.connection.options()
    except CredentialsError as error:
        raise SettingsError(f"{error}.") from None


def admitted_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return connection options that a broker has let in: kafka-python does not say why one does not.

    Raises
    ------
    SettingsError
        A certificate or a key cannot be used.
    Refused
        A broker does not let us in.
    """
    options = connection_options(kafka)
    if (refused := refusal(kafka.connection)) is not None:
        raise Refused(f"{refused}.")
    return options


def reader_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return options of an aiokafka consumer without a group. Raises `SettingsError`."""
    return {
        **connection_options(kafka),
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": MAX_FETCH_BYTES,
        "fetch_max_wait_ms": 200,
    }
