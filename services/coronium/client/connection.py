"""One gRPC channel to a service: message sizes, encryption, deadlines, and errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from coronium.client.errors import ClientError, NotFound, ServiceUnreachable, SpectrumRejected
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS


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
        """Read the files."""
        authority, certificate, key = (
            Path(name).read_bytes() if name else None for name in (self.ca_file, self.certificate_file, self.key_file)
        )
        return grpc.ssl_channel_credentials(authority, key, certificate)


def open_channel(address: str, tls: Tls | None) -> grpc.Channel:
    """Open a channel that takes messages of every size the stream knows; it connects when first used."""
    if tls is None:
        return grpc.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS)
    return grpc.secure_channel(address, tls.credentials(), options=GRPC_CHANNEL_OPTIONS)


@contextmanager
def translated_errors(service: str, address: str, seconds: float) -> Iterator[None]:
    """Turn gRPC's errors into the client's.

    Parameters
    ----------
    service : str
        What is called (`results`, `ingestion`), for the sentence.
    address : str
    seconds : float
        Deadline of the call.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise _translated(error, service, address, seconds) from error


def _translated(error: grpc.RpcError, service: str, address: str, seconds: float) -> ClientError:
    code, details = error.code(), error.details()
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return ServiceUnreachable(
                f"The {service} service at {address} does not answer: check the address and that it is running "
                f"({details})."
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServiceUnreachable(
                f"The {service} service at {address} took longer than {seconds:g} s: try again, or raise timeout."
            )
        case grpc.StatusCode.NOT_FOUND:
            return NotFound(details)
        case grpc.StatusCode.INVALID_ARGUMENT if service == "ingestion":
            return SpectrumRejected(details)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if service == "ingestion":
            return SpectrumRejected(f"The spectrum is larger than the service takes: {details}.")
        case _:
            return ClientError(f"The {service} service at {address} refused: {details} ({code.name}).")
