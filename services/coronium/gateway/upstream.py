"""The gRPC services behind the gateway: channels, deadlines, and what their errors mean in HTTP."""

from __future__ import annotations

import ipaddress
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.gateway.settings import UpstreamSettings
from coronium.runtime.auth.gate import FORWARDED_FOR
from coronium.runtime.auth.tokens import from_header
from coronium.runtime.errors import StartError
from coronium.v1 import ingestion_pb2_grpc, results_pb2_grpc

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# What a client of the gateway did wrong keeps the service's own sentence; the rest is not theirs to read.
STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
}
"""What a refusal over gRPC is over HTTP."""


@dataclass(frozen=True)
class Caller:
    """For whom the gateway calls a service.

    Attributes
    ----------
    token : str
        Empty where none was shown: the service decides over it.
    address : str
        From where the request came; empty where that is not known.
    """

    token: str
    address: str

    @classmethod
    def of(cls, authorization: str, host: str) -> Caller:
        """Return the caller of a request; a host that is no address (a proxy may write anything) is not told."""
        token = from_header(authorization) or ""
        try:
            return cls(token, str(ipaddress.ip_address(host)))
        except ValueError:
            return cls(token, "")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the service is told."""
        told = (("authorization", self.token and f"Bearer {self.token}"), (FORWARDED_FOR, self.address))
        return tuple((name, value) for name, value in told if value)


class UpstreamError(Exception):
    """A service did not give the answer; the text is one sentence.

    Parameters
    ----------
    status : int
        HTTP status of the response.
    sentence : str
        What the client reads.
    retry_after : float or None
        Seconds after which the service wants to be asked again.
    """

    def __init__(self, status: int, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self._retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP wants beside the status."""
        if self.status == 401:
            return {"www-authenticate": 'Bearer error="invalid_token"'}
        if self.status == 429:
            return {"retry-after": str(max(1, math.ceil(self._retry_after or 0.0)))}
        return {}


class Upstream:
    """Stubs of the services, and the one way to call them.

    Parameters
    ----------
    settings : UpstreamSettings
    results, ingestion : grpc.aio.Channel
    """

    def __init__(self, settings: UpstreamSettings, results: grpc.aio.Channel, ingestion: grpc.aio.Channel) -> None:
        self.deadline = settings.deadline_seconds
        self.results = results_pb2_grpc.ResultsServiceStub(results)
        self.ingestion = ingestion_pb2_grpc.IngestionServiceStub(ingestion)
        self._channels = {"results": results, "ingestion": ingestion}

    async def call(
        self, service: str, method: Callable[..., Awaitable[Answer]], request: Message, caller: Caller
    ) -> Answer:
        """Call a method for somebody and return the answer.

        Raises
        ------
        UpstreamError
            The service refused, or did not answer.
        """
        with self._explained(service):
            return await method(request, timeout=self.deadline, metadata=caller.metadata)

    async def stream(
        self, service: str, method: Callable[..., AsyncIterator[Answer]], request: Message, caller: Caller
    ) -> list[Answer]:
        """Call a streaming method for somebody and return all answers; raises as `call` does."""
        with self._explained(service):
            return [answer async for answer in method(request, timeout=self.deadline, metadata=caller.metadata)]

    async def serving(self, service: str) -> bool:
        """Return whether a service says that it is healthy."""
        try:
            stub = health_pb2_grpc.HealthStub(self._channels[service])
            response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=self.deadline)
        except grpc.aio.AioRpcError:
            return False
        return response.status == health_pb2.HealthCheckResponse.SERVING

    @contextmanager
    def _explained(self, service: str) -> Iterator[None]:
        """Raise what goes wrong in a call as `UpstreamError`."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise self._meaning(service, error) from None
        except Exception:
            log.exception("a call to a service failed", extra={"called": service})
            raise UpstreamError(502, f"The {service} service cannot be asked this.") from None

    def _meaning(self, service: str, error: grpc.aio.AioRpcError) -> UpstreamError:
        if error.code() in STATUSES:
            sentence = error.details() or f"The {service} service refused."
            return UpstreamError(STATUSES[error.code()], sentence, _retry_after(error))
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UpstreamError(504, f"The {service} service did not answer within {self.deadline:g} s.")
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return UpstreamError(503, f"The {service} service does not answer now; try again later.")
        return UpstreamError(502, f"The {service} service failed ({error.code().name}).")


@asynccontextmanager
async def connected(settings: UpstreamSettings) -> AsyncIterator[Upstream]:
    """Open the channels; nothing is connected before the first call."""
    async with _channel(settings, settings.results) as results, _channel(settings, settings.ingestion) as ingestion:
        yield Upstream(settings, results, ingestion)


def _channel(settings: UpstreamSettings, address: str) -> grpc.aio.Channel:
    if not settings.ca_file:
        return grpc.aio.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(settings.ca_file),
        private_key=_read(settings.key_file) if settings.key_file else None,
        certificate_chain=_read(settings.certificate_file) if settings.certificate_file else None,
    )
    return grpc.aio.secure_channel(address, credentials, options=GRPC_CHANNEL_OPTIONS)


def _retry_after(error: grpc.aio.AioRpcError) -> float | None:
    value = dict(error.trailing_metadata() or ()).get("retry-after")
    return None if value is None else float(value)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error.strerror}): check the gateway's certificates.") from None
