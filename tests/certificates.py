"""Certificate authorities and certificates for tests: short-lived, elliptic curves, files in a folder."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM files: each in one of its own, and both in one."""

    certificate_file: str
    key_file: str
    both_file: str

    @property
    def certificate(self) -> bytes:
        """The PEM itself."""
        return Path(self.certificate_file).read_bytes()

    @property
    def key(self) -> bytes:
        """The PEM itself."""
        return Path(self.key_file).read_bytes()


class Authority:
    """Signs certificates that are good for servers and for clients.

    Parameters
    ----------
    folder : pathlib.Path
        Of the files; is made.
    name : str
        Common name of the authority.
    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        path = folder / "ca.pem"
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.ca_file = str(path)

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        return Path(self.ca_file).read_bytes()

    def issue(self, name: str, hosts: Sequence[str] = LOOPBACK, password: str = "") -> Pair:
        """Return a new certificate with its key; the files are called after it.

        Parameters
        ----------
        name : str
            Common name; a broker may take it for the principal.
        hosts : sequence of str
            Names and addresses that it is good for.
        password : str
            Encrypts the key where it is given.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(_common_name(name), key)
            .add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        encryption = (
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        )
        made = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        paths = [self._folder / f"{name}.{suffix}" for suffix in ("pem", "key", "both.pem")]
        for path, content in zip(paths, (made, secret, secret + made), strict=True):
            path.write_bytes(content)
        return Pair(*map(str, paths))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _LIFETIME)
        )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
