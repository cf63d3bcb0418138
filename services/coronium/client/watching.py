"""Results as they come, over as many calls as that takes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from coronium.client.connection import Connection, retry_after
from coronium.client.queries import timestamp
from coronium.client.reading import read_result
from coronium.client.result import Result
from coronium.v1 import results_pb2, results_pb2_grpc

_CALL_SECONDS = 600.0
"""Deadline of one call. A watch that lasts longer is continued in another, from before where this one ended."""

_OVERLAP = timedelta(seconds=60)
"""How far the next call reaches back, for clocks that differ."""

_REMEMBERED = 100_000

# What a service that stops, or is not there, answers.
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Watch(Iterator[Result]):
    """Iterates over results as they are stored, each once.

    The watch has begun when the object exists: whatever is stored from then on will come. It survives restarts
    of the service that take less than the connection's timeout. Close it, or leave its `with` block, to end it early.

    Parameters
    ----------
    service : ResultsServiceStub
    connection : Connection
    result_filter : ResultFilter
    since : datetime or None
        Also what was stored from this time on.
    seconds : float or None
        End after this time; None: never.

    Raises
    ------
    ServiceUnreachable
        The service does not answer, or has not for the connection's timeout.
    """

    def __init__(
        self,
        service: results_pb2_grpc.ResultsServiceStub,
        connection: Connection,
        result_filter: results_pb2.ResultFilter,
        since: datetime | None,
        seconds: float | None,
    ) -> None:
        self._service = service
        self._connection = connection
        self._filter = result_filter
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._since = since
        with connection.errors():
            self._call = self._begin()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Result:
        while True:
            try:
                response = next(self._call)
            except grpc.RpcError as error:
                self._resume(error)
                continue
            key = (response.posterior.result_id, response.posterior.fitted_at.ToJsonString())
            if key not in self._seen:
                self._seen[key] = None
                if len(self._seen) > _REMEMBERED:
                    self._seen.popitem(last=False)
                return read_result(response.posterior)

    def close(self) -> None:
        """End the watch."""
        self._ends = time.monotonic()
        self._call.cancel()

    def _begin(self) -> Any:
        """Start a call and wait until the service says that it watches."""
        left = _CALL_SECONDS if self._ends is None else self._ends - time.monotonic()
        request = results_pb2.WatchRequest(filter=self._filter)
        if self._since is not None:
            request.since.CopyFrom(timestamp(self._since))
        self._since = datetime.now(UTC) - _OVERLAP
        call = self._service.Watch(
            request, timeout=max(0.001, min(left, _CALL_SECONDS)), metadata=self._connection.metadata
        )
        call.initial_metadata()
        if call.done() and call.code() is not grpc.StatusCode.OK:
            raise call
        return call

    def _resume(self, error: grpc.RpcError) -> None:
        """Go on after a call has ended; end the iteration where the watch is over."""
        patience = time.monotonic() + self._connection.timeout
        while True:
            if self._ends is not None and time.monotonic() >= self._ends:
                raise StopIteration from None
            code = error.code()
            wait = retry_after(error)
            lasting = code not in (*_AWAY, grpc.StatusCode.DEADLINE_EXCEEDED) and wait is None
            if lasting or time.monotonic() + (wait or 0.0) > patience:
                with self._connection.errors():
                    raise error
            if code in _AWAY or wait is not None:
                time.sleep(wait or 0.5)
            try:
                self._call = self._begin()
            except grpc.RpcError as another:
                error = another
            else:
                return
