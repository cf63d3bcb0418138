"""What is true of every gRPC call: it is admitted, it has a deadline, it is counted, and failures tell nothing.

Every method is served as a stream, also those that are not: so a call is admitted before its message is read,
and one way through holds for all four kinds of method. On the wire there is no difference.
"""

import asyncio
import contextlib
import inspect
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from coronium.contract.headers import new_trace_id
from coronium.contract.wire import count_parts
from coronium.runtime import metrics
from coronium.runtime.auth.caller import Anyone
from coronium.runtime.auth.gate import Gate
from coronium.runtime.auth.refusals import Refused, exhausted
from coronium.runtime.auth.scopes import METHODS, OPEN
from coronium.runtime.logging import traced
from coronium.runtime.settings import GrpcSettings

log = logging.getLogger(__name__)

_WITHOUT_DEADLINE = ("/grpc.health.", "/grpc.reflection.")
_OPEN_SECONDS = 1.0
"""An open method ends by itself: a stranger must not hold it."""

_MOST_FRAMES = 20


class Guard(grpc.aio.ServerInterceptor):
    """Refuses calls that may not be made, and counts all.

    Parameters
    ----------
    gate : Gate
        Who may call what.
    settings : GrpcSettings
        Longest deadline, longest stream.
    """

    def __init__(self, gate: Gate, settings: GrpcSettings) -> None:
        self._gate = gate
        self._max_deadline = settings.max_deadline_seconds
        self._max_messages = settings.max_stream_messages

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Wrap the handler of a call; a method that no servicer has is refused by the server."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        metadata = {
            name: value for name, value in handler_call_details.invocation_metadata or () if isinstance(value, str)
        }

        async def guarded(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> None:
            begun = time.monotonic()
            try:
                with self._gate.admitted(method, context.peer(), metadata) as caller:
                    self._check_deadline(method, context)
                    async with _briefly() if METHODS[method] == OPEN else caller.allowed():
                        await self._serve(handler, requests, context, caller)
            except Refused as refused:
                metrics.REFUSED_CALLS.labels(reason=refused.reason).inc()
                await context.abort(refused.status, str(refused), refused.trailing_metadata)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except Exception as error:
                trace = new_trace_id()
                with traced(trace):
                    log.error("a call failed", extra={"method": method, **_told(error)})
                await context.abort(grpc.StatusCode.INTERNAL, f"the call failed; the log says where, under {trace}")
            finally:
                _count(method, context, begun)

        return grpc.stream_stream_rpc_method_handler(
            guarded,
            request_deserializer=_reader(method, handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    async def _serve(
        self,
        handler: grpc.RpcMethodHandler,
        requests: AsyncIterator[Any],
        context: grpc.aio.ServicerContext,
        caller: Anyone,
    ) -> None:
        kind = "_".join(
            "stream" if streaming else "unary" for streaming in (handler.request_streaming, handler.response_streaming)
        )
        messages = self._messages(requests, caller)
        request = messages if handler.request_streaming else await _first(messages)
        served = getattr(handler, kind)(request, context)
        if not handler.response_streaming:
            await context.write(await served)
            return
        if inspect.isawaitable(served):
            # gRPC's own health service writes its responses itself.
            await served
            return
        async with contextlib.aclosing(served) as responses:
            async for response in responses:
                caller.check()
                await context.write(response)

    async def _messages(self, requests: AsyncIterator[Any], caller: Anyone) -> AsyncIterator[Any]:
        """Iterate over what the caller sends: not too many, not too fast, and only while the caller may."""
        number = 0
        while True:
            try:
                request = await anext(requests)
            except StopAsyncIteration:
                return
            except DecodeError as error:
                caller.unreadable()
                raise _invalid("malformed", f"the message cannot be read: {error}") from None
            number += 1
            if number > self._max_messages:
                raise exhausted(
                    "stream_length", f"a stream may carry {self._max_messages} messages; begin another for the rest"
                )
            if number > 1:
                await caller.pace()
                caller.check()
            yield request

    def _check_deadline(self, method: str, context: grpc.aio.ServicerContext) -> None:
        if method.startswith(_WITHOUT_DEADLINE):
            return
        remaining = context.time_remaining()
        if remaining is None or remaining > self._max_deadline + 1.0:
            raise _invalid("deadline", f"set a deadline of at most {self._max_deadline:g} s on this call")


def _reader(method: str, deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return what reads a method's requests, and looks at their parts before it makes messages of them."""
    service, name = method.strip("/").split("/")
    kind = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name].input_type

    def read(data: bytes) -> Any:
        count_parts(kind, data)
        return deserializer(data)

    return read


async def _first(messages: AsyncIterator[Any]) -> Any:
    """Return the one message of a call that is no stream."""
    async for message in messages:
        return message
    raise _invalid("malformed", "the call carries no message")


@contextlib.asynccontextmanager
async def _briefly() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            yield
    except TimeoutError:
        raise Refused(
            "deadline", grpc.StatusCode.DEADLINE_EXCEEDED, f"this call may take {_OPEN_SECONDS:g} s"
        ) from None


def _told(error: Exception) -> dict[str, str]:
    """Return what the log says of an error: its kind and where it was raised; its text may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    where = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return {"error": type(error).__qualname__, "where": where}


def _invalid(reason: str, sentence: str) -> Refused:
    return Refused(reason, grpc.StatusCode.INVALID_ARGUMENT, sentence)


def _count(method: str, context: grpc.aio.ServicerContext, begun: float) -> None:
    if method.startswith(_WITHOUT_DEADLINE):
        return
    code = context.code()
    name = code.name.lower() if isinstance(code, grpc.StatusCode) else "ok"
    short = method.rsplit("/", 1)[-1]
    metrics.GRPC_REQUESTS.labels(method=short, code=name).inc()
    metrics.GRPC_SECONDS.labels(method=short).observe(time.monotonic() - begun)
