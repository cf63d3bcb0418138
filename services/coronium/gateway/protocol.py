"""HTTP/1.1 whose callers must be quick: uvicorn itself waits for a request for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def quick_protocol(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a limit for the time until the head of a request is complete.

    The time begins with the connection and with each answer. What is left of a body that nobody reads falls under
    it too, so that a caller who was refused does not hold the connection.

    Parameters
    ----------
    seconds : float
    """

    class QuickProtocol(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin_to_wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_waiting()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            if self.cycle is not before:
                self._end_waiting()

        def on_response_complete(self) -> None:
            # A pipelined request begins in here, and ends the wait.
            self._begin_to_wait()
            super().on_response_complete()

        def _begin_to_wait(self) -> None:
            self._end_waiting()
            self._waiting = self.loop.call_later(seconds, self.transport.close)

        def _end_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return QuickProtocol
