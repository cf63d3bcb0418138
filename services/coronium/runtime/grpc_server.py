"""The gRPC server of a service: sizes, deadlines, TLS, health, reflection, metrics."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.contract.wire import count_parts
from coronium.runtime import metrics
from coronium.runtime.errors import StartError
from coronium.runtime.settings import GrpcSettings

Register = Callable[[grpc.aio.Server], str]
"""Adds a servicer to a server and returns the full name of its service."""

_WITHOUT_DEADLINE = ("/grpc.health.", "/grpc.reflection.")
_STOP_SECONDS = 2.0


class GrpcServer:
    """Serves over gRPC on the running event loop.

    Parameters
    ----------
    settings : GrpcSettings
        Address, TLS, deadlines.
    registrations : sequence of callables
        Each adds one servicer and returns the full name of its service.

    Attributes
    ----------
    port : int
        The port that is listened on, after `start`.
    """

    def __init__(self, settings: GrpcSettings, *registrations: Register) -> None:
        self._settings = settings
        self._server = grpc.aio.server(
            interceptors=[_Guard(settings.max_deadline_seconds)],
            options=[*GRPC_CHANNEL_OPTIONS, ("grpc.so_reuseport", 0)],
        )
        names = [register(self._server) for register in registrations]
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [*names, health.SERVICE_NAME]
        reflection.enable_server_reflection([*self._names, reflection.SERVICE_NAME], self._server)
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises `StartError` where the port is taken or a certificate cannot be read."""
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            if self._settings.certificate_file:
                self.port = self._server.add_secure_port(address, self._credentials())
            else:
                self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise StartError(f"gRPC cannot listen on {address}: the port is taken; choose another.") from None
        await self._server.start()
        await self.say(serving=True)

    async def say(self, *, serving: bool) -> None:
        """Set what the health service answers for every service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Refuse new calls and let those in flight end."""
        await self.say(serving=False)
        await self._server.stop(_STOP_SECONDS)

    def _credentials(self) -> grpc.ServerCredentials:
        settings = self._settings
        try:
            pair = (Path(settings.key_file).read_bytes(), Path(settings.certificate_file).read_bytes())
            authority = Path(settings.client_ca_file).read_bytes() if settings.client_ca_file else None
        except OSError as error:
            raise StartError(f"a certificate of the gRPC server cannot be read: {error}.") from None
        return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


class _Guard(grpc.aio.ServerInterceptor):
    """Refuses calls without a deadline and counts all others."""

    def __init__(self, max_deadline: float) -> None:
        self._max_deadline = max_deadline

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        name = handler_call_details.method
        if handler is None or name.startswith(_WITHOUT_DEADLINE):
            return handler
        method = name.rsplit("/", 1)[-1]
        sides = (handler.request_streaming, handler.response_streaming)
        kind = "_".join("stream" if streaming else "unary" for streaming in sides)
        wrap = self._stream if handler.response_streaming else self._unary
        return getattr(grpc, f"{kind}_rpc_method_handler")(
            wrap(getattr(handler, kind), method, handler.request_streaming),
            request_deserializer=_reader(name, handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, behavior: Any, method: str, streamed: bool) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext) -> Any:
            begun = time.monotonic()
            try:
                await self._check(context)
                return await behavior(await _readable(request, streamed, context), context)
            finally:
                _count(method, context, begun)

        return guarded

    def _stream(self, behavior: Any, method: str, streamed: bool) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            begun = time.monotonic()
            try:
                await self._check(context)
                async for response in behavior(await _readable(request, streamed, context), context):
                    yield response
            finally:
                _count(method, context, begun)

        return guarded

    async def _check(self, context: grpc.aio.ServicerContext) -> None:
        remaining = context.time_remaining()
        if remaining is None or remaining > self._max_deadline + 1.0:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"set a deadline of at most {self._max_deadline:g} s on this call",
            )


@dataclass(frozen=True)
class _Unreadable:
    """What is wrong with a request, in its place."""

    sentence: str


def _reader(name: str, deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return what reads a method's requests; one that cannot be read becomes `_Unreadable`, not an error of ours."""
    service, method = name.strip("/").split("/")
    kind = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method].input_type

    def read(data: bytes) -> Any:
        try:
            count_parts(kind, data)
            return deserializer(data)
        except DecodeError as error:
            return _Unreadable(f"The request is no {kind.full_name}: {error}")

    return read


async def _readable(request: Any, streamed: bool, context: grpc.aio.ServicerContext) -> Any:
    """Return a request, or the iterator over those of a stream, and end the call at one that cannot be read."""
    if streamed:
        return _each_readable(request, context)
    if isinstance(request, _Unreadable):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.sentence)
    return request


async def _each_readable(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
    async for request in requests:
        yield await _readable(request, False, context)


def _count(method: str, context: grpc.aio.ServicerContext, begun: float) -> None:
    code = context.code()
    name = code.name.lower() if isinstance(code, grpc.StatusCode) else "ok"
    metrics.GRPC_REQUESTS.labels(method=method, code=name).inc()
    metrics.GRPC_SECONDS.labels(method=method).observe(time.monotonic() - begun)
