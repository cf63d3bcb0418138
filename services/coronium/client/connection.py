"""One service as a client sees it: message sizes, encryption, token, deadlines, and errors as sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from coronium.client.credentials import Tls, refuse_to_tell
from coronium.client.errors import (
    ClientError,
    LimitReached,
    NotAllowed,
    NotFound,
    ServiceUnreachable,
    SpectrumRejected,
)
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS

_TOO_LARGE = "larger than max"
"""What gRPC says of a message that is too large, with the same code as of too many calls."""

_BUSY_SECONDS = 1.0


class Connection:
    """A channel to one service that takes messages of every size the stream knows; it connects when first used.

    Parameters
    ----------
    service : str
        What is called (`results`, `ingestion`), for the sentences.
    address : str
        host:port.
    tls : Tls or None
    token : str
        Empty: none is shown.
    timeout : float
        Deadline of each call in seconds.

    Raises
    ------
    ClientError
        The token would leave this machine without encryption, or a certificate cannot be read.
    """

    def __init__(self, service: str, address: str, tls: Tls | None, token: str, timeout: float) -> None:
        refuse_to_tell(token, address, tls)
        self.address = address
        self.timeout = timeout
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._service = service
        if tls is None:
            self.channel = grpc.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS)
        else:
            self.channel = grpc.secure_channel(address, tls.credentials(), options=GRPC_CHANNEL_OPTIONS)

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """Call a method and return its answer; wait and call again where the service asks for that.

        Raises
        ------
        ClientError
            One sentence that says what to do; a subclass where there is something particular to do.
        """
        until = time.monotonic() + self.timeout
        while True:
            try:
                return method(request, timeout=self.timeout, metadata=self.metadata)
            except grpc.RpcError as error:
                wait = retry_after(error)
                if wait is None or time.monotonic() + wait > until:
                    raise self._translated(error) from error
            time.sleep(wait)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn gRPC's errors into the client's."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Let go of the channel."""
        self.channel.close()

    def _translated(self, error: grpc.RpcError) -> ClientError:
        code, details = error.code(), error.details()
        where = f"The {self._service} service at {self.address}"
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                return ServiceUnreachable(
                    f"{where} does not answer: check the address and that it is running ({details})."
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return ServiceUnreachable(f"{where} took longer than {self.timeout:g} s: try again, or raise timeout.")
            case grpc.StatusCode.NOT_FOUND:
                return NotFound(details)
            case grpc.StatusCode.UNAUTHENTICATED:
                return NotAllowed(
                    f"{where} does not know you: {details}. Set CORONIUM_TOKEN or CORONIUM_TOKEN_FILE, or give Client "
                    "a token."
                )
            case grpc.StatusCode.PERMISSION_DENIED:
                return NotAllowed(f"{where} does not allow this: {details}.")
            case grpc.StatusCode.INVALID_ARGUMENT if self._service == "ingestion":
                return SpectrumRejected(details)
            case grpc.StatusCode.RESOURCE_EXHAUSTED if self._service == "ingestion" and _TOO_LARGE in details:
                return SpectrumRejected(f"The spectrum is larger than the service takes: {details}.")
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                wait = retry_after(error) or _BUSY_SECONDS
                return LimitReached(f"{where} is asked too much: {details}. Try again in {wait:.1f} s.", wait)
            case _:
                return ClientError(f"{where} refused: {details} ({code.name}).")


def retry_after(error: grpc.RpcError) -> float | None:
    """Return the seconds after which a service wants to be asked again; None where asking again is no use."""
    for name, value in error.trailing_metadata() or ():
        if name == "retry-after":
            return float(value)
    return None
