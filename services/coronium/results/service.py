"""`ResultsService` over gRPC: each call is one question to the database."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from typing import Any, NoReturn

import grpc
from sqlalchemy.exc import SQLAlchemyError

from coronium.contract.limits import MAX_NAME
from coronium.results.pages import InvalidQuery
from coronium.results.queries import Answer, Found, Queries
from coronium.results.watch import ChangeFeed, watch
from coronium.runtime.metrics import WATCHERS
from coronium.v1 import dead_letter_pb2, posterior_pb2, results_pb2, results_pb2_grpc, spectrum_pb2

_log = logging.getLogger(__name__)

# Draws of one message of the stream.
_DRAWS_PER_MESSAGE = 128


class ResultsServicer(results_pb2_grpc.ResultsServiceServicer):
    """Serves what was stored.

    Parameters
    ----------
    queries : Queries
    feed : ChangeFeed
        Wakes `Watch`.
    """

    def __init__(self, queries: Queries, feed: ChangeFeed) -> None:
        self._queries = queries
        self._feed = feed

    async def Get(self, request: results_pb2.GetRequest, context: Any) -> results_pb2.GetResponse:
        """Return one result by its id, or the current one of a fingerprint.

        The observation comes with results of a single spectrum; those of a joint result are asked for by
        fingerprint.
        """
        found = await self._find(request.id, context)
        response = results_pb2.GetResponse(
            posterior=posterior_pb2.Posterior.FromString(found.message), superseded_by=found.superseded_by
        )
        if request.with_observation and found.kind == "single":
            observation = await self._answered(context, self._queries.observation, found.fingerprint)
            if observation is not None:
                response.observation.CopyFrom(spectrum_pb2.Observation.FromString(observation))
        return response

    async def List(self, request: results_pb2.ListRequest, context: Any) -> results_pb2.ListResponse:
        """Return one page of results, the newest first."""
        page = await self._answered(
            context, self._queries.results, request.filter, request.page_size, request.page_token
        )
        return results_pb2.ListResponse(
            posteriors=[posterior_pb2.Posterior.FromString(message) for message in page.messages],
            next_page_token=page.next_token,
            total=page.total,
        )

    async def Draws(self, request: results_pb2.DrawsRequest, context: Any) -> AsyncIterator[results_pb2.DrawsResponse]:
        """Stream the draws of one result; the names come with every message."""
        found = await self._find(request.result_id, context)
        draws = posterior_pb2.Posterior.FromString(found.message).draws
        step = _DRAWS_PER_MESSAGE * len(draws.names) or 1
        for start in range(0, len(draws.values), step):
            part = posterior_pb2.Draws(names=draws.names, values=draws.values[start : start + step])
            yield results_pb2.DrawsResponse(draws=part)

    async def Watch(self, request: results_pb2.WatchRequest, context: Any) -> AsyncIterator[results_pb2.WatchResponse]:
        """Stream results as they are stored, from now or replayed from a time.

        The initial metadata are sent when the watch has begun: whatever is stored after they arrive will
        come.
        """
        if request.HasField("since"):
            try:
                since = request.since.ToDatetime(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"since is not a time: {error}.")
            cursor = await self._answered(context, self._queries.cursor_since, since)
        else:
            cursor = await self._answered(context, self._queries.newest_change)
        await context.send_initial_metadata(())
        try:
            with WATCHERS.track_inprogress():
                async for message in watch(self._queries, self._feed, request.filter, cursor):
                    yield results_pb2.WatchResponse(posterior=posterior_pb2.Posterior.FromString(message))
        except InvalidQuery as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SQLAlchemyError as error:
            await _unavailable(context, error)

    async def ListDeadLetters(
        self, request: results_pb2.ListDeadLettersRequest, context: Any
    ) -> results_pb2.ListDeadLettersResponse:
        """Return one page of the dead letters that no result has beaten, the newest first."""
        page = await self._answered(
            context, self._queries.dead_letters, request.stage, request.page_size, request.page_token
        )
        return results_pb2.ListDeadLettersResponse(
            dead_letters=[dead_letter_pb2.DeadLetter.FromString(message) for message in page.messages],
            next_page_token=page.next_token,
            total=page.total,
        )

    async def _find(self, identifier: str, context: Any) -> Found:
        if not identifier or len(identifier) > MAX_NAME or "\0" in identifier:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Give a result id or a fingerprint.")
        found = await self._answered(context, self._queries.get, identifier)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, await self._why_missing(identifier, context))
        assert found is not None, "abort raises"
        return found

    async def _why_missing(self, identifier: str, context: Any) -> str:
        """Say what is known of a spectrum that has no result."""
        letter = await self._answered(context, self._queries.dead_letter_detail, identifier)
        if letter is not None:
            stage, detail = letter
            return f"Spectrum {identifier} has no result: {stage} set it aside ({detail})"
        if await self._answered(context, self._queries.observation, identifier) is not None:
            return f"Spectrum {identifier} was received and has no result yet."
        return f"There is no result and no spectrum {identifier}."

    async def _answered(self, context: Any, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Ask the database, and end the call with one sentence where it cannot answer."""
        try:
            return await self._queries.ask(question, *arguments)
        except InvalidQuery as error:
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SQLAlchemyError as error:
            return await _unavailable(context, error)


async def _unavailable(context: Any, error: SQLAlchemyError) -> NoReturn:
    _log.error("The results database did not answer: %s", error)
    await context.abort(grpc.StatusCode.UNAVAILABLE, "The results database does not answer; try again later.")
    raise AssertionError("abort raises")
