"""Where the commands find the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

from coronium.runtime.settings import KafkaSettings, RetentionSettings, Settings

if TYPE_CHECKING:
    from coronium.client.client import Client


class ClientSettings(Settings):
    """Addresses and credentials of the command line."""

    service: ClassVar[str] = "client"

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    results_address: str = Field(default="127.0.0.1:50054", description="host:port of the results service.")
    ingestion_address: str = Field(
        default="", description="host:port of the ingestion service: publish over gRPC instead of Kafka."
    )
    timeout_seconds: float = Field(default=30.0, gt=0, description="Deadline of one call.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Token for the gRPC services; CORONIUM_TOKEN and CORONIUM_TOKEN_FILE do too."
    )
    tls: bool = Field(default=False, description="Encrypt the gRPC connections; a ca_file does that too.")
    ca_file: str = Field(default="", description="Certificate authority of the services; empty: the system's.")
    certificate_file: str = Field(default="", description="Certificate of this client, where services ask for one.")
    key_file: str = Field(default="", description="Private key of this client.")


def load(results: str | None = None, ingestion: str | None = None, kafka: str | None = None) -> ClientSettings:
    """Read the settings; flags that were given stand above environment and file."""
    flags: dict[str, Any] = {}
    if results:
        flags["results_address"] = results
    if ingestion:
        flags["ingestion_address"] = ingestion
    if kafka:
        flags["kafka"] = {"bootstrap_servers": kafka}
    return ClientSettings.load(**flags)


def connect(results: str | None = None, ingestion: str | None = None, kafka: str | None = None) -> Client:
    """Return a client with the settings of the command line: environment and file, below what is given here.

    Spectra go over gRPC where an ingestion address is set, otherwise to Kafka.

    Parameters
    ----------
    results, ingestion, kafka : str or None
        Addresses, host:port.

    Raises
    ------
    coronium.runtime.errors.SettingsError
        A setting is unknown or out of range.
    """
    from coronium.client.client import Client
    from coronium.client.credentials import Tls

    settings = load(results, ingestion, kafka)
    files = Tls(settings.ca_file, settings.certificate_file, settings.key_file)
    return Client(
        settings.results_address,
        settings.ingestion_address or None,
        None if settings.ingestion_address else settings.kafka.connection,
        prefix=settings.kafka.prefix,
        timeout=settings.timeout_seconds,
        tls=files if settings.tls or files != Tls() else None,
        token=settings.token.get_secret_value(),
    )
