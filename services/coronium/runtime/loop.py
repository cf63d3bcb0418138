"""The loop that every stage runs in: collect a batch, settle it, again.

    collect -> mark as begun -> decode -> work -> encode -> still ours? -> produce, acknowledged -> commit

Runs on the event loop of the parent process; no method may be called from another thread.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from coronium.runtime import metrics
from coronium.runtime.attempts import Attempts
from coronium.runtime.dead_letters import FailureRate
from coronium.runtime.executors import Executor
from coronium.runtime.faust_app import StreamClient
from coronium.runtime.outcomes import Abandoned, TooManyFailures
from coronium.runtime.positions import Partition, Start
from coronium.runtime.settings import LoopSettings
from coronium.runtime.settle import Settler
from coronium.runtime.stage import Incoming, Stage, WentBack

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_LOOK_SECONDS = 1.0
_CANCEL_SECONDS = 5.0


class StageLoop:
    """Runs one stage.

    Parameters
    ----------
    stage : Stage
        What is done.
    settings : LoopSettings
        Deadlines and limits.
    client : StreamClient
        The broker.
    executor : Executor
        Where the work runs; started.
    attempts : Attempts
        What was begun before; started.

    Attributes
    ----------
    paused : bool
        While set, no batch is taken up; set and cleared by the application.
    failures : FailureRate
        Of our own failures.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        settings: LoopSettings,
        client: StreamClient,
        executor: Executor,
        attempts: Attempts,
    ) -> None:
        self._stage = stage
        self._settings = settings
        self._client = client
        self._attempts = attempts
        self._waiting: asyncio.Queue[tuple[Incoming, int]] = asyncio.Queue(stage.batch_size)
        self._generation: int | None = None
        self._settling: asyncio.Task[None] | None = None
        self._closing = False
        self._leave = asyncio.Event()
        self.paused = False
        self.failures = FailureRate(settings)
        self._settler = Settler(stage, settings, client, executor, attempts, self.failures, self._leave)

    async def on_event(self, incoming: Incoming, generation: int) -> None:
        """Take one record from faust; waits while enough are waiting."""
        await self._waiting.put((incoming, generation))
        metrics.QUEUE_DEPTH.set(self._waiting.qsize())

    async def on_revoked(self) -> None:
        """Let the partitions go: finish what is begun within the deadline or give it up.

        Faust calls this at every rebalance while the partitions are still ours and waits for it.
        """
        metrics.REBALANCES.inc()
        self._leave.set()
        self._forget_waiting()
        await self._finish()
        self._forget_waiting()
        self._generation = None
        if not self._closing:
            self._leave.clear()

    async def close(self) -> None:
        """Finish what is begun within the deadline or give it up, and end `run`."""
        self._closing = True
        self._leave.set()
        self._forget_waiting()
        await self._finish()

    async def run(self, between: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        """Settle batches until `close`.

        Parameters
        ----------
        between : async callable
            Called between batches: applies the desired state.
        stop : async callable
            Called when our own failures passed the rate: pauses the stage for all replicas.

        Raises
        ------
        Exception
            Whatever nobody expected. The process must end at once; nothing of the batch is committed.
        """
        while not self._closing:
            await between()
            batch = await self._collect()
            if not batch or self._leave.is_set():
                continue
            self._settling = asyncio.create_task(self._settler.settle(batch), name="settle a batch")
            while not (await asyncio.wait({self._settling}, timeout=_LOOK_SECONDS))[0]:
                self._client.doubts()
            settled, self._settling = self._settling, None
            try:
                settled.result()
            except (Abandoned, asyncio.CancelledError):
                metrics.BATCHES_ABANDONED.inc()
                log.warning("a batch was given up, to be worked on again", extra={"records": len(batch)})
                await self._begin_again()
            except WentBack:
                log.warning("the stage's database has gone back: what it lacks is read again")
                await self._begin_again()
            except TooManyFailures:
                log.error("our own failures passed the rate: the stage stops; look, then resume it")
                self.paused = True
                await stop()
                metrics.STOPPED_BY_FAILURES.set(1)
                await self._begin_again()

    async def _collect(self) -> list[Incoming]:
        """Return the next batch: full, or as large as it is `batch_seconds` after its first record."""
        batch: list[Incoming] = []
        collected = None
        until = time.monotonic() + _TICK_SECONDS
        while len(batch) < self._stage.batch_size and not self.paused and not self._leave.is_set():
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    incoming, generation = await self._waiting.get()
            except TimeoutError:
                break
            if await self._is_next(incoming, generation):
                if generation != collected:
                    # A rebalance since the first: what was collected before it is read again by whoever has it now.
                    batch.clear()
                    collected = generation
                metrics.MESSAGES_IN.labels(topic=self._client.suffix(incoming.topic)).inc()
                batch.append(incoming)
                if len(batch) == 1:
                    until = time.monotonic() + self._stage.batch_seconds
        if collected != self._generation:
            batch.clear()
        if not batch:
            await self._idle()
        doubts = self._client.doubts()
        if not self.paused and not self._leave.is_set():
            await self._client.insist()
            if doubts and self._client.joined:
                batch.clear()
                await self._begin_again()
        metrics.QUEUE_DEPTH.set(self._waiting.qsize())
        return batch

    async def _idle(self) -> None:
        """Do what is due while there is nothing to work on."""
        if self.paused or self._leave.is_set():
            await asyncio.sleep(0.1)
            return
        # Without a new record too the stage may have to go back to earlier ones.
        generation = self._client.generation
        if self._client.joined and self._generation != generation:
            await self._prepared(generation)

    async def _is_next(self, incoming: Incoming, generation: int) -> bool:
        """Whether this record is the next of a partition of ours, prepared for."""
        if generation != self._client.generation:
            return False
        if self._generation != generation and not await self._prepared(generation):
            return False
        return await self._client.admit(incoming)

    async def _prepared(self, generation: int) -> bool:
        """Prepare for the partitions of a generation; False where they have gone meanwhile."""
        try:
            await self._settler.patiently(self._prepare)
        except Abandoned:
            return False
        if generation != self._client.generation or self._leave.is_set():
            return False
        self._generation = generation
        return True

    async def _prepare(self) -> None:
        """Learn what must be known before records of our partitions are worked on. Raises `Transient`."""
        partitions = self._client.partitions()
        metrics.PARTITIONS.set(len(partitions))
        stored = await self._stage.positions(partitions)
        starts, _ = await asyncio.gather(self._client.expect(stored), self._attempts.assigned(partitions))
        await self._stage.assigned(partitions)
        back = {partition: begin.offset for partition, begin in starts.items() if begin.behind}
        if back:
            anew = [partition for partition, begin in starts.items() if begin.cut_short]
            await self._client.produce([(record, None) for record in self._attempts.go_back(back, anew)])
            if not await self._client.go_back(back):
                raise Abandoned
        self._report(starts)
        self._client.trust()

    def _report(self, starts: dict[Partition, Start]) -> None:
        """Tell where the stage's own store was behind, and what it cannot get back."""
        lost: dict[str, int] = dict.fromkeys((self._client.suffix(topic) for topic, _ in starts), 0)
        for (topic, partition), begin in starts.items():
            source = f"{topic}/{partition}/{begin.offset}"
            lost[self._client.suffix(topic)] += begin.lost
            if begin.lost:
                log.error(
                    "records that the database lacks are no longer in Kafka: restore a later backup, or publish again",
                    extra={"records": begin.lost, "source": source},
                )
            if begin.cut_short:
                metrics.CUT_SHORT.labels(topic=self._client.suffix(topic)).inc()
                log.error("Kafka has lost records of this partition: all of it is read again", extra={"source": source})
            elif begin.behind:
                metrics.WENT_BACK.labels(topic=self._client.suffix(topic)).inc()
                log.warning("the database is behind the group: going back", extra={"source": source})
        for topic, records in lost.items():
            metrics.LOST_TO_RETENTION.labels(topic=topic).set(records)

    async def _begin_again(self) -> None:
        """Read what was given up once more, where it is still ours; after a rebalance it is read anyway."""
        generation, self._generation = self._client.generation, None
        with contextlib.suppress(Abandoned):
            if not self._leave.is_set():
                await self._settler.patiently(self._prepare)
                await self._client.rewind()
                self._generation = generation

    async def _finish(self) -> None:
        """Wait for the batch in hand for one deadline, then give it up."""
        settling = self._settling
        if settling is None:
            return
        await asyncio.wait({settling}, timeout=self._settings.deadline_seconds)
        if not settling.done():
            settling.cancel()
            await asyncio.wait({settling}, timeout=_CANCEL_SECONDS)

    def _forget_waiting(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
