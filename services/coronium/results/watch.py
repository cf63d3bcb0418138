"""Waking those who watch, from the database, so that every replica sees what any replica stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError

from coronium.results.queries import Queries
from coronium.v1 import results_pb2

_log = logging.getLogger(__name__)

# How many results are read ahead for one watcher: 64 KiB each at most.
_READ_AHEAD = 32


class ChangeFeed:
    """Asks the database for the newest change while somebody waits, once for all who wait in this process.

    Parameters
    ----------
    queries : Queries
    interval : float
        Seconds between two questions.
    """

    def __init__(self, queries: Queries, interval: float = 0.25) -> None:
        self._queries = queries
        self._interval = interval
        self._waiting: set[asyncio.Future[int]] = set()
        self._poller: asyncio.Task[None] | None = None

    async def beyond(self, change: int) -> None:
        """Return once a change with a greater number is there."""
        while True:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            if self._poller is None:
                self._poller = asyncio.create_task(self._poll())
            try:
                if await future > change:
                    return
            finally:
                self._waiting.discard(future)

    async def _poll(self) -> None:
        reachable = True
        while self._waiting:
            await asyncio.sleep(self._interval)
            try:
                newest = await self._queries.ask(self._queries.newest_change)
            except SQLAlchemyError as error:
                if reachable:
                    _log.warning("The results database does not answer; watchers wait: %s", error)
                reachable = False
                continue
            reachable = True
            for future in self._waiting:
                if not future.done():
                    future.set_result(newest)
        self._poller = None


async def watch(
    queries: Queries, feed: ChangeFeed, result_filter: results_pb2.ResultFilter, cursor: int
) -> AsyncIterator[bytes]:
    """Yield every result that is stored after a cursor, once, without end.

    One cursor serves replay and live results alike, so that there is no seam between them. A triage result
    and the full answer that takes its place are two changes; a result that was replaced before it could be
    read is left out.

    Yields
    ------
    bytes
        A serialised posterior.

    Raises
    ------
    InvalidQuery
        The filter makes no sense.
    sqlalchemy.exc.SQLAlchemyError
        The database does not answer.
    """
    while True:
        changes = await queries.ask(queries.changes_after, cursor, result_filter, _READ_AHEAD)
        for message in changes.messages:
            yield message
        if not changes.messages:
            await feed.beyond(changes.cursor)
        cursor = changes.cursor
