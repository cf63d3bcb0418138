"""Settle a batch: from records to committed offsets, whatever happens on the way.

A batch whose work dies is settled once more, one record at a time, each attempt recorded before it starts; the
record that dies `attempts` times is set aside and its neighbours complete. Nothing is committed before what
follows from it was acknowledged, so whatever ends this process, the records are worked on again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from coronium.contract.headers import Headers, UnknownSchema, envelope_problem
from coronium.contract.topics import SPECTRA
from coronium.runtime import metrics
from coronium.runtime.attempts import Attempts
from coronium.runtime.dead_letters import OUR_FAILURES, FailureRate, dead_letter, reason_label
from coronium.runtime.executors import Executor
from coronium.runtime.faust_app import StreamClient
from coronium.runtime.logging import traced
from coronium.runtime.outcomes import REASON_OF, Abandoned, Done, Outcome, SetAside, TooManyFailures
from coronium.runtime.record_batches import Unreadable
from coronium.runtime.settings import LoopSettings
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage, Transient, WentBack
from coronium.runtime.workers import NoWorker, WorkFailed
from coronium.v1.dead_letter_pb2 import (
    DEAD_LETTER_REASON_MALFORMED,
    DEAD_LETTER_REASON_TOO_LARGE,
    DEAD_LETTER_REASON_UNKNOWN_SCHEMA,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


class Settler:
    """Settles batches of one stage.

    Parameters
    ----------
    stage, settings, client, executor, attempts, failures
        As in `coronium.runtime.loop.StageLoop`.
    leave : asyncio.Event
        Set while the partitions are asked back: what is begun is finished, nothing more is begun.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        settings: LoopSettings,
        client: StreamClient,
        executor: Executor,
        attempts: Attempts,
        failures: FailureRate,
        leave: asyncio.Event,
    ) -> None:
        self._stage = stage
        self._from_publishers = SPECTRA in stage.sources
        self._settings = settings
        self._client = client
        self._executor = executor
        self._attempts = attempts
        self._failures = failures
        self._leave = leave

    async def settle(self, batch: list[Incoming]) -> None:
        """Settle a batch of records, in the order of their partitions.

        Raises
        ------
        Abandoned
            Some of it is not settled and not committed.
        WentBack
            The same, because records before it must be worked on again.
        TooManyFailures
            The stage must stop; some of it is not settled and not committed.
        """
        begun = time.monotonic()
        metrics.BATCH_SIZE.observe(len(batch))
        suspects = [incoming for incoming in batch if self._attempts.suspect(incoming)]
        others = [incoming for incoming in batch if not self._attempts.suspect(incoming)]
        for incoming in suspects:
            await self._settle_alone(incoming)
        if others:
            await self._produce([(record, None) for record in self._attempts.begin(others)], others)
            try:
                outcomes = await self._work(others)
            except WorkFailed as failure:
                log.warning("a batch failed, its records go one at a time", extra={"detail": failure.detail})
                for incoming in others:
                    await self._settle_alone(incoming)
            else:
                await self._conclude(outcomes)
        metrics.BATCH_SECONDS.observe(time.monotonic() - begun)

    async def _settle_alone(self, incoming: Incoming) -> None:
        """Work on one record alone until it is done or has failed too often."""
        failure = WorkFailed("crash", "the process that worked on this record died with it")
        while (made := self._attempts.made(incoming)) < self._settings.attempts:
            if self._leave.is_set():
                raise Abandoned
            try:
                await self._produce([(record, None) for record in self._attempts.attempt(incoming)], [incoming])
                metrics.SOLO_ATTEMPTS.inc()
                await self._conclude(await self._work([incoming], made + 1))
                return
            except WorkFailed as again:
                failure = again
                log.warning(
                    "a record failed alone",
                    extra={"offset": incoming.offset, "attempt": made + 1, "detail": again.detail},
                )
            except (asyncio.CancelledError, Abandoned, WentBack):
                # Given up, not died of.
                self._attempts.undo(incoming)
                await self._attempts.tell_owed(self._write)
                raise
        try:
            await self._conclude([SetAside(incoming, REASON_OF[failure.cause], failure.detail, made)])
        except TooManyFailures:
            # Whoever resumes the stage has put something right: the record begins anew.
            self._attempts.forget(incoming)
            await self._attempts.tell_owed(self._write)
            raise

    async def _work(self, batch: list[Incoming], attempt: int = 1) -> list[Outcome]:
        """Decode, work, encode. Raises `WorkFailed` when our own code fails on any of it."""
        try:
            decoded = [self._decode(incoming, attempt) for incoming in batch]
            jobs = [job for _, job in decoded if not isinstance(job, SetAside)]
            results = iter(await self._run(jobs) if jobs else [])
            return [
                job if isinstance(job, SetAside) else self._encode(incoming, job, next(results), attempt)
                for incoming, job in decoded
            ]
        except (WorkFailed, Abandoned, WentBack, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("decoding or encoding failed")
            raise WorkFailed("internal", f"{type(error).__name__}: {error}") from error

    def _decode(self, incoming: Incoming, attempt: int) -> tuple[Incoming, Any]:
        if isinstance(incoming.value, Unreadable):
            reason = DEAD_LETTER_REASON_TOO_LARGE if incoming.value.too_large else DEAD_LETTER_REASON_MALFORMED
            return incoming, SetAside(incoming, reason, incoming.value.detail, attempt)
        if problem := envelope_problem(incoming.key, incoming.headers):
            return incoming, SetAside(incoming, DEAD_LETTER_REASON_TOO_LARGE, problem, attempt)
        try:
            trace = Headers.decode(incoming.headers, incoming.timestamp)
            trace = trace.tied(incoming.topic, incoming.value, anybodys=self._from_publishers)
            incoming = replace(incoming, trace=trace)
            with traced(incoming.trace.trace_id):
                return incoming, self._stage.decode(incoming)
        except UnknownSchema as fault:
            return incoming, SetAside(incoming, DEAD_LETTER_REASON_UNKNOWN_SCHEMA, str(fault), attempt)
        except Rejected as fault:
            return incoming, SetAside(incoming, fault.reason, fault.detail, attempt)

    def _encode(self, incoming: Incoming, job: Any, result: Any, attempt: int) -> Outcome:
        if isinstance(result, Rejected):
            return SetAside(incoming, result.reason, result.detail, attempt)
        outgoing = self._stage.encode(incoming, job, result)
        for record in outgoing:
            size = len(record.key) + len(record.value or b"")
            if size > record.topic.max_bytes:
                return SetAside(
                    incoming,
                    DEAD_LETTER_REASON_TOO_LARGE,
                    f"{size} bytes follow from it, {record.topic.suffix} takes {record.topic.max_bytes}",
                    attempt,
                )
        return Done(incoming, job, result, outgoing)

    async def _run(self, jobs: list[Any]) -> list[Any]:
        async def work() -> list[Any]:
            begun = time.monotonic()
            try:
                results = await self._executor.run(jobs)
            except NoWorker as fault:
                # What ends this wait, a reload, is applied between batches.
                raise Abandoned from fault
            metrics.WORK_SECONDS.observe(time.monotonic() - begun)
            return results

        return await self.patiently(work)

    async def _conclude(self, outcomes: list[Outcome]) -> None:
        """Produce what follows, commit, and tell the stage."""
        for outcome in outcomes:
            ours = isinstance(outcome, SetAside) and outcome.reason in OUR_FAILURES
            self._failures.count(ours)
            if ours and self._failures.exceeded:
                raise TooManyFailures
        incomings = [outcome.incoming for outcome in outcomes]
        await self._produce([pair for outcome in outcomes for pair in self._records(outcome)], incomings)
        offsets: dict[tuple[str, int], int] = {}
        for incoming in incomings:
            tp = (incoming.topic, incoming.partition)
            offsets[tp] = max(offsets.get(tp, 0), incoming.offset + 1)
        await self.patiently(lambda: self._stage.committing(offsets))
        if not await self.patiently(lambda: self._client.commit(offsets)):
            raise Abandoned
        for outcome in outcomes:
            self._tell(outcome)

    def _records(self, outcome: Outcome) -> list[tuple[Outgoing, Headers | None]]:
        incoming = outcome.incoming
        headers = incoming.trace.following()
        if isinstance(outcome, Done):
            outgoing = list(outcome.outgoing)
        else:
            outgoing = [dead_letter(self._stage.name, incoming, outcome.reason, outcome.detail, outcome.attempts)]
        forget = [(record, None) for record in self._attempts.done(incoming)]
        return [*((record, headers) for record in outgoing), *forget]

    def _tell(self, outcome: Outcome) -> None:
        incoming = outcome.incoming
        metrics.MESSAGES_DONE.inc()
        if not incoming.trace.replay_id:
            # How old a replayed spectrum is says nothing about the stream.
            metrics.END_TO_END_AGE.observe(max(time.time() - incoming.trace.origin_at, 0.0))
        with traced(incoming.trace.trace_id):
            if isinstance(outcome, SetAside):
                label = reason_label(outcome.reason)
                metrics.MESSAGES_REJECTED.labels(reason=label).inc()
                log.warning(
                    "set aside",
                    extra={
                        "reason": label,
                        "detail": outcome.detail,
                        "source": f"{incoming.topic}/{incoming.partition}/{incoming.offset}",
                    },
                )
                return
            for record in outcome.outgoing:
                metrics.MESSAGES_OUT.labels(topic=record.topic.suffix).inc()
            self._stage.committed(incoming, outcome.job, outcome.result)
            self._stage.observe(outcome.result)

    async def _produce(self, records: list[tuple[Outgoing, Headers | None]], batch: list[Incoming]) -> None:
        """Produce as soon as the broker takes it, while the records it comes from are ours."""

        async def produce() -> None:
            ours = self._client.partitions()
            if any((incoming.topic, incoming.partition) not in ours for incoming in batch):
                raise Abandoned
            await self._client.produce(records)

        await self.patiently(produce)

    async def _write(self, records: Sequence[Outgoing]) -> None:
        await self._client.produce([(record, None) for record in records])

    async def patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do something that may fail for a while, with back-off, until the partitions are asked back."""
        wait = self._settings.backoff_seconds
        while True:
            try:
                return await action()
            except Transient as fault:
                metrics.TRANSIENT_FAULTS.inc()
                log.warning("put off", extra={"detail": str(fault), "seconds": wait})
            try:
                async with asyncio.timeout(wait):
                    await self._leave.wait()
                raise Abandoned
            except TimeoutError:
                wait = min(2 * wait, self._settings.backoff_max_seconds)
