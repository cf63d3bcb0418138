"""What a client must be told to reach a Kafka cluster: addresses, encryption, and who it is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class CredentialsError(ValueError):
    """A certificate or a key cannot be used; the text is one sentence that says which and why."""


@dataclass(frozen=True)
class KafkaConnection:
    """Addresses and credentials of a Kafka cluster.

    Parameters
    ----------
    bootstrap_servers : str
        Brokers, host:port, separated by commas.
    security_protocol : str
        `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`: whether the connection is encrypted (`SSL`), and
        whether a user name and a password say who this is (`SASL`).
    sasl_mechanism : str
        `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`.
    username, password : str
        Where the protocol is SASL.
    ca_file : str
        Certificate authority of the brokers; empty: the system's.
    certificate_file, key_file : str
        This client's own, where the brokers ask for them (mutual TLS). An empty key file: the key stands in the
        certificate's.
    key_password : str
        Where the key is encrypted.

    Raises
    ------
    CredentialsError
        Parts contradict each other: a password or an authority that the protocol would not use, say.
    """

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.sasl and not (self.username and self.password):
            raise CredentialsError("SASL needs a username and a password")
        if (self.username or self.password) and not self.sasl:
            raise CredentialsError("username and password need security_protocol SASL_SSL (or SASL_PLAINTEXT)")
        if (self.ca_file or self.certificate_file or self.key_file) and not self.encrypted:
            raise CredentialsError("ca_file, certificate_file and key_file need security_protocol SSL or SASL_SSL")
        if self.key_file and not self.certificate_file:
            raise CredentialsError("key_file needs certificate_file")

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Whether a user name and a password are sent."""
        return self.security_protocol.startswith("SASL")

    @property
    def who(self) -> str:
        """Who connects, in words."""
        if self.sasl:
            return f"user {self.username}"
        return f"the holder of {self.certificate_file}" if self.certificate_file else "a client without credentials"

    def options(self) -> dict[str, Any]:
        """Return connection options as kafka-python and aiokafka take them. Raises `CredentialsError`."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.encrypted:
            options["ssl_context"] = self.ssl_context()
        if self.sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS context: brokers must show a certificate for the name they are reached by.

        Raises
        ------
        CredentialsError
            A file is missing or is not what it should be, or the key's password is wrong.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise CredentialsError(
                f"the authority's certificate {self.ca_file} cannot be read: {_why(error)}"
            ) from None
        if self.certificate_file:
            key = self.key_file or self.certificate_file
            try:
                # Without a password, OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file or None, lambda: self.key_password)
            except (OSError, ssl.SSLError) as error:
                raise CredentialsError(
                    f"the certificate {self.certificate_file} with the key {key} cannot be used: {_why(error)}; "
                    "check the files and key_password"
                ) from None
        return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "NOT_READABLE").replace("_", " ").lower()
    return error.strerror or str(error)
