"""HTTP/1.1 whose callers must be quick: uvicorn itself waits for ever for a request, and for an answer to be taken."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def quick_protocol(head_seconds: float, body_seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with limits for the head of a request and for the taking of an answer.

    The time for a head begins with the connection and with each answer. What is left of a body that nobody reads falls
    under it too, so that a caller who was refused does not hold the connection. Who does not take an answer is cut
    off, and what was still to be sent is thrown away: to close the connection would wait for the caller again.

    Parameters
    ----------
    head_seconds : float
        From the beginning of the wait until the head of a request is complete.
    body_seconds : float
        From the first byte of an answer that has to wait until none has.
    """

    class QuickProtocol(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None
        _taking: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # Writing is paused while anything waits for the caller, and goes on when all is sent.
            transport.set_write_buffer_limits(high=1)
            self._begin_to_wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_waiting()
            self._end_taking()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._end_taking()
            self._taking = self.loop.call_later(body_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._end_taking()
            super().resume_writing()

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            if self.transport.is_closing():
                self._begin_to_wait()
            elif self.cycle is not before:
                self._end_waiting()

        def on_response_complete(self) -> None:
            # A pipelined request begins in here, and ends the wait.
            self._begin_to_wait()
            super().on_response_complete()

        def _begin_to_wait(self) -> None:
            self._end_waiting()
            self._waiting = self.loop.call_later(head_seconds, self._waited)

        def _waited(self) -> None:
            if self.flow.write_paused:
                # The caller is still busy with the answer, and has its own time for that.
                self._begin_to_wait()
            else:
                self.transport.abort()

        def _end_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _end_taking(self) -> None:
            if self._taking is not None:
                self._taking.cancel()
                self._taking = None

    return QuickProtocol
