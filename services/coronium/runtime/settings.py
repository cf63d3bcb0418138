"""Settings of a service: one class each, read from flag, environment, file and default, in that order.

Every field has two names in the environment: ``CORONIUM_<SERVICE>__<FIELD>`` for one service and
``CORONIUM_<FIELD>`` for all that have it, for example ``CORONIUM_FITTING__KAFKA__BOOTSTRAP_SERVERS`` and
``CORONIUM_KAFKA__BOOTSTRAP_SERVERS``; the first wins. Each of them may end in ``_FILE`` and then names a file
that holds the value (mounted secrets). ``CORONIUM_SETTINGS_FILE`` names a TOML file with one table per
service; what stands outside the tables is for all. A name that no setting has is an error, not a silent
default.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coronium.brokers.connection import KafkaConnection, SaslMechanism, SecurityProtocol
from coronium.contract.topics import DEFAULT_PREFIX, DEFAULT_RETENTION, Kept, TopicNames
from coronium.runtime import settings_sources
from coronium.runtime.errors import SettingsError

LogLevel = Literal["debug", "info", "warning", "error"]


class Section(BaseModel):
    """A group of fields within the settings of a service."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class KafkaSettings(Section):
    """How to reach the broker."""

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="Brokers, host:port, separated by commas.")
    prefix: str = Field(
        default=DEFAULT_PREFIX, pattern=r"^[a-zA-Z0-9._-]+$", description="First part of topic and group names."
    )
    session_seconds: float = Field(
        default=45.0, gt=0, description="A replica that is silent for this long loses its partitions."
    )
    heartbeat_seconds: float = Field(default=3.0, gt=0, description="Time between two heartbeats.")
    security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="Encryption and authentication of the connection."
    )
    sasl_mechanism: SaslMechanism = Field(default="SCRAM-SHA-512", description="Mechanism where the protocol is SASL.")
    username: str = Field(default="", description="User where the protocol is SASL.")
    password: SecretStr = Field(default=SecretStr(""), description="Password where the protocol is SASL.")
    ca_file: str = Field(default="", description="Certificate authority of the brokers; empty: the system's.")
    certificate_file: str = Field(default="", description="Certificate of this client.")
    key_file: str = Field(default="", description="Private key of this client; empty: it stands in certificate_file.")
    key_password: SecretStr = Field(default=SecretStr(""), description="Password of the private key, if it has one.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heartbeat_seconds * 3 > self.session_seconds:
            raise ValueError("three heartbeats must fit into session_seconds")
        _ = self.connection
        return self

    @property
    def connection(self) -> KafkaConnection:
        """Addresses and credentials."""
        return KafkaConnection(
            self.bootstrap_servers,
            self.security_protocol,
            self.sasl_mechanism,
            self.username,
            self.password.get_secret_value(),
            self.ca_file,
            self.certificate_file,
            self.key_file,
            self.key_password.get_secret_value(),
        )

    @property
    def topics(self) -> TopicNames:
        """Names of topics and groups under the prefix."""
        return TopicNames(self.prefix)


def _days(kept: Kept) -> float:
    return DEFAULT_RETENTION[kept] / timedelta(days=1)


class RetentionSettings(Section):
    """How long `coronium topics` lets the broker keep records; services do not ask."""

    spectra_days: float = Field(
        default=_days(Kept.SPECTRA), gt=0, description="Published spectra, and those that wait for a slow fit."
    )
    intermediate_days: float = Field(
        default=_days(Kept.INTERMEDIATE), gt=0, description="Observations and features, which spectra can make again."
    )
    posteriors_days: float = Field(
        default=_days(Kept.POSTERIORS), gt=0, description="Results: within this time a lost database is rebuilt."
    )
    dead_letters_days: float = Field(
        default=_days(Kept.DEAD_LETTERS), gt=0, description="Dead letters: within this time they can be replayed."
    )

    @property
    def by_kind(self) -> Mapping[Kept, timedelta]:
        """The times as `coronium.contract.topics.Topic` takes them."""
        return {kept: timedelta(days=getattr(self, f"{kept.value}_days")) for kept in DEFAULT_RETENTION}


def check_certificates(certificate_file: str, key_file: str, client_ca_file: str) -> None:
    """See that a server's certificate files go together. Raises `ValueError`."""
    if bool(certificate_file) != bool(key_file):
        raise ValueError("certificate_file and key_file belong together")
    if client_ca_file and not certificate_file:
        raise ValueError("client_ca_file needs certificate_file and key_file")


class GrpcSettings(Section):
    """Where gRPC is served."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(default=50051, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    certificate_file: str = Field(default="", description="Server certificate; empty: no encryption.")
    key_file: str = Field(default="", description="Private key of the server.")
    client_ca_file: str = Field(default="", description="Only clients with a certificate of this authority may call.")
    max_deadline_seconds: float = Field(
        default=3600.0, gt=0, description="A call without a deadline, or with a longer one, is refused."
    )
    max_calls: int = Field(default=1024, ge=1, description="Most calls that are served at once; watchers count.")
    max_connection_calls: int = Field(default=128, ge=1, description="Most calls at once over one connection.")
    max_stream_messages: int = Field(default=10_000, ge=1, description="Most messages that a client may stream.")
    reflection: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether the server describes its methods; auto: while there is no authentication. "
        "Where there is, the scope admin is needed.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_certificates(self.certificate_file, self.key_file, self.client_ca_file)
        return self


class AuthSettings(Section):
    """Who may call over gRPC, and how much."""

    principals_file: str = Field(
        default="", description="Who may call (`coronium tokens` writes it); empty: no authentication."
    )
    required: bool = Field(
        default=False,
        description="Do not start without principals_file, nor where other machines could call without encryption.",
    )
    calls_per_second: float = Field(
        default=50.0, gt=0, description="Calls of one principal per second, where the file says nothing else."
    )
    concurrent_calls: int = Field(
        default=32, ge=1, description="Open calls of one principal, where the file says nothing else."
    )
    quarantine_failures: int = Field(
        default=20, ge=0, description="Failed authentications of one address that quarantine it; 0: never."
    )
    quarantine_rejections: int = Field(
        default=200, ge=0, description="Rejected submissions of one principal that quarantine it; 0: never."
    )
    quarantine_window_seconds: float = Field(default=60.0, gt=0, description="Time over which both are counted.")
    quarantine_seconds: float = Field(default=300.0, gt=0, description="How long a quarantine lasts.")
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks of gateways and proxies, separated by commas: "
        "what they say of a caller's address is believed.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            for part in self.trusted_proxies.split(","):
                if part.strip():
                    ipaddress.ip_network(part.strip())
        except ValueError as error:
            raise ValueError(f"trusted_proxies holds no address or network: {error}") from None
        if self.required and not self.principals_file:
            raise ValueError("required needs principals_file, CORONIUM_AUTH__PRINCIPALS_FILE")
        return self


class MetricsSettings(Section):
    """Where Prometheus finds the metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(default=9464, ge=0, le=65535, description="Port of /metrics; 0 takes a free one.")


class LoopSettings(Section):
    """Deadlines and limits of the stage loop."""

    deadline_seconds: float = Field(
        default=60.0, gt=0, description="A batch that takes longer is abandoned and its worker killed."
    )
    rebalance_seconds: float = Field(
        default=90.0, gt=0, description="Time the group waits for a member to finish; above the deadline."
    )
    grace_seconds: float = Field(
        default=120.0, gt=0, description="Time from SIGTERM to a hard exit; above rebalance_seconds."
    )
    attempts: int = Field(default=3, ge=1, description="Solo attempts before a record is set aside as a crash.")
    backoff_seconds: float = Field(default=0.5, gt=0, description="First wait after a transient fault.")
    backoff_max_seconds: float = Field(default=30.0, gt=0, description="Longest wait after a transient fault.")
    failure_rate: float = Field(
        default=0.2, gt=0, le=1, description="Share of our own failures that stops the stage; bad input never does."
    )
    failure_minimum: int = Field(default=100, ge=1, description="Fewer messages than this never stop the stage.")
    failure_window_seconds: float = Field(default=300.0, gt=0, description="Time over which the share is taken.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.deadline_seconds < self.rebalance_seconds < self.grace_seconds:
            raise ValueError("deadline_seconds < rebalance_seconds < grace_seconds must hold")
        return self


class WorkerSettings(Section):
    """Limits of the worker process."""

    memory_mib: int = Field(default=4096, ge=64, description="Resident memory above which the worker is killed.")
    warm_seconds: float = Field(default=300.0, gt=0, description="Longest time to load and compile the model.")
    threads: int = Field(default=0, ge=0, description="Threads of the numerical libraries; 0: their own choice.")


def _replica() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class Settings(BaseSettings):
    """Reads a settings class from flag, environment and file; `service` names it there."""

    model_config = SettingsConfigDict(extra="forbid", validate_default=True, env_nested_delimiter="__")

    service: ClassVar[str] = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flag, environment and file, in that order."""
        return (init_settings, *settings_sources.sources(settings_cls, cls.service))

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Read the settings.

        Parameters
        ----------
        **flags
            Values from the command line; sections as dictionaries.

        Raises
        ------
        SettingsError
            One sentence for each fault: an unknown name, a value out of range, an unreadable file.
        """
        settings_sources.refuse_unknown_names((cls, ServiceSettings), cls.service)
        try:
            return cls(**flags)
        except ValidationError as error:
            raise SettingsError(settings_sources.explain(error, cls.service)) from None

    @classmethod
    def origins(cls, **flags: Any) -> list[settings_sources.Origin]:
        """Return each field with its value and where it came from, secrets masked."""
        return settings_sources.origins(cls, cls.load(**flags), cls.service, flags)


class ServiceSettings(Settings):
    """What every service can be told. A service adds its own fields in a subclass and sets `service`."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    grpc: GrpcSettings = Field(default_factory=GrpcSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    loop: LoopSettings = Field(default_factory=LoopSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    log_level: LogLevel = Field(default="info", description="Least severity that is logged.")
    replica: str = Field(
        default_factory=_replica,
        pattern=r"^[a-zA-Z0-9._-]+$",
        description="Name of this process among the replicas; default: host name and process id.",
    )


def exit_on_settings_error(error: SettingsError) -> None:
    """Print the sentence and end the process as usage error."""
    print(f"coronium: {error}", file=sys.stderr)
    raise SystemExit(error.code)
