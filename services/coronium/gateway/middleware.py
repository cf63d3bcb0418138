"""What is true of every request: it is counted, and its body is no larger and no slower than it may be, nor packed."""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coronium.contract.limits import MAX_BODY_PARTS, MAX_BODY_VALUES
from coronium.runtime.metrics import HTTP_REQUESTS, HTTP_SECONDS

_MARKS = (b"{", b"[", b'"')


class LimitBody:
    """Answers 413 to a request whose body is too large, announced or not, 415 to one that is packed, and 408 to one
    whose body is too slow.

    Values and parts are counted as well as bytes: Python needs some sixty bytes for a number or an object that takes
    two in JSON, and many more for what it says of each that is wrong.

    The rest of the body is not read.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        # More digits than this are more bytes than there are.
        announced = int(length[:20]) if length.isdigit() else 0
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        received = values = parts = 0
        complete = False
        until = asyncio.get_running_loop().time() + self._seconds

        async def counted_receive() -> Message:
            nonlocal received, values, parts, complete
            if encoding != "identity":
                raise HTTPException(415, f"The body is packed ({encoding}); send it as it is")
            if announced > self._max_bytes:
                raise self._too_large()
            try:
                # After the body only the end of the connection can come, and that has time.
                async with asyncio.timeout_at(None if complete else until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"The body was not there within {self._seconds:g} s") from None
            body = message.get("body", b"")
            received += len(body)
            values += body.count(b",")
            parts += sum(body.count(mark) for mark in _MARKS)
            complete = not message.get("more_body", False)
            if received > self._max_bytes:
                raise self._too_large()
            if values > MAX_BODY_VALUES:
                raise HTTPException(
                    413, f"The body has more than {MAX_BODY_VALUES} values; publish large spectra through Kafka or gRPC"
                )
            if parts > MAX_BODY_PARTS:
                raise HTTPException(413, f"The body has more than {MAX_BODY_PARTS} objects, arrays and quotation marks")
            return message

        await self._app(scope, counted_receive, send)

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413, f"The body is larger than {self._max_bytes} bytes; publish large spectra through Kafka or gRPC"
        )


class CountRequests:
    """Counts requests and their time by route and class of status; a path is never a label."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and take its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted_send)
        finally:
            route = getattr(scope.get("route"), "name", "")
            HTTP_REQUESTS.labels(route=route, status=f"{status // 100}xx").inc()
            HTTP_SECONDS.labels(route=route).observe(time.perf_counter() - begun)
