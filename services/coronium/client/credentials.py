"""What a client shows to the services: a token, and files for an encrypted connection."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from coronium.client.errors import ClientError

_PREFIX = "CORONIUM_CLIENT__"
_TOKEN_NAMES = (f"{_PREFIX}TOKEN", "CORONIUM_TOKEN")
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Tls:
    """Files for an encrypted connection.

    Attributes
    ----------
    ca_file : str
        Certificate authority of the server; empty: the system's.
    certificate_file, key_file : str
        This client's own, where the server asks for them.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises `ClientError` where one cannot be read."""
        try:
            authority, certificate, key = (
                Path(name).read_bytes() if name else None
                for name in (self.ca_file, self.certificate_file, self.key_file)
            )
        except OSError as error:
            raise ClientError(f"{error.filename} cannot be read ({error.strerror}): check ca_file, ...") from None
        return grpc.ssl_channel_credentials(authority, key, certificate)


def token_from_environment() -> str:
    """Return the token that CORONIUM_CLIENT__TOKEN or CORONIUM_TOKEN holds; empty where neither is set.

    Each name may end in ``_FILE`` and then names a file that holds the token.

    Raises
    ------
    ClientError
        The file cannot be read.
    """
    for name in _TOKEN_NAMES:
        if token := os.environ.get(name):
            return token.strip()
        if path := os.environ.get(f"{name}_FILE"):
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ClientError(f"{name}_FILE names {path}, which cannot be read ({error.strerror}).") from None
    return ""


def tls_from_environment() -> Tls | None:
    """Return the encryption that CORONIUM_CLIENT__TLS, __CA_FILE, __CERTIFICATE_FILE and __KEY_FILE ask for."""
    files = {name: os.environ.get(f"{_PREFIX}{name.upper()}", "") for name in Tls.__dataclass_fields__}
    wanted = os.environ.get(f"{_PREFIX}TLS", "").lower() in _TRUE
    return Tls(**files) if wanted or any(files.values()) else None


def refuse_to_tell(token: str, address: str, tls: Tls | None) -> None:
    """Raise `ClientError` where a token would leave this machine in the clear."""
    if token and tls is None and not _stays_here(address):
        raise ClientError(
            f"the token is not sent to {address} without encryption: give Client tls=Tls(ca_file), or set "
            "CORONIUM_CLIENT__TLS=true (and CORONIUM_CLIENT__CA_FILE)."
        )


def _stays_here(address: str) -> bool:
    """Return whether what is sent to host:port does not leave this machine; False in doubt."""
    if address.startswith("unix:"):
        return True
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
