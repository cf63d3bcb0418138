"""How each Kafka client library of the project is told to connect."""

import ssl
from typing import Any

from coronium.contract.limits import MAX_FETCH_BYTES
from coronium.runtime.settings import KafkaSettings


def aiokafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return connection options of an aiokafka client."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": kafka.password.get_secret_value(),
        }
    return options


def kafka_python_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return connection options of a kafka-python client."""
    return aiokafka_options(kafka)


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return the TLS context of the settings."""
    context = ssl.create_default_context(cafile=kafka.ca_file or None)
    if kafka.certificate_file:
        context.load_cert_chain(kafka.certificate_file, kafka.key_file or None)
    return context


def reader_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return options of an aiokafka consumer without a group."""
    return {
        **aiokafka_options(kafka),
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": MAX_FETCH_BYTES,
        "fetch_max_wait_ms": 200,
    }
