"""The last stage of the stream: what arrives is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from google.protobuf.message import DecodeError
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from coronium.contract.flow import PRODUCTS, SOURCES
from coronium.contract.limits import MAX_POSTERIOR_BYTES
from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName, TopicNames
from coronium.contract.wire import read_message
from coronium.results.database import check_schema, shown, unreachable, upgrade
from coronium.results.offsets import Partition, Receded, stored_offsets
from coronium.results.records import Entry, InvalidRecord, Record, Table, entry
from coronium.results.store import Outcome, Store
from coronium.runtime.metrics import STORE_SECONDS, STORED, STORED_AGAIN
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage, Transient, WentBack
from coronium.v1 import dead_letter_pb2, posterior_pb2, spectrum_pb2

_MESSAGES: dict[str, type[Record]] = {
    POSTERIORS.suffix: posterior_pb2.Posterior,
    OBSERVATIONS.suffix: spectrum_pb2.Observation,
    **{topic.suffix: dead_letter_pb2.DeadLetter for topic in DEAD_LETTERS.values()},
}


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Job:
    """One record made ready for the store.

    Parameters
    ----------
    entry : Entry
    partition : tuple of (str, int)
        Topic and partition it came from.
    offset : int
    """

    entry: Entry
    partition: Partition
    offset: int


@dataclass(frozen=True)
class Stored:
    """What became of one record."""

    table: Table
    outcome: Outcome


class ResultsStage(Stage[Job, Stored]):
    """Stores posteriors, observations and the dead letters of all stages; produces nothing.

    How far each partition is stored is noted in the database with the rows. Where a database is behind the group's
    commits, because it is new or was restored from a backup, the stage goes back and reads again what it lacks.

    Parameters
    ----------
    engine : Engine
        Of the results database.
    topics : TopicNames
        Under which prefix the topics are named.
    patience_seconds : float
        A database that has not answered for so long is away; the batch is tried again. Less than the deadline of a
        batch, at which a record would be taken for the culprit.
    """

    name: ClassVar[StageName] = StageName.RESULTS
    sources = SOURCES[StageName.RESULTS]
    products = PRODUCTS[StageName.RESULTS]
    # A batch of the largest observations still takes a quarter of a gigabyte.
    batch_size = 32
    batch_seconds = 0.1

    def __init__(self, engine: Engine, topics: TopicNames, patience_seconds: float = 40.0) -> None:
        self._engine = engine
        self._topics = topics
        self._patience = patience_seconds
        # One thread: what is tried again stands behind the attempt that hangs, and is never made where that ends late.
        self._writer = ThreadPoolExecutor(1, "store")
        self._store = Store(engine)
        self._known: dict[Partition, int] = {}

    async def start(self) -> None:
        """See that the database is there and has our schema.

        A SQLite file belongs to this process alone and is made or brought up to date here; a PostgreSQL
        database is shared, and `coronium db upgrade` does it once for all replicas.

        Raises
        ------
        DatabaseUnavailable
            The database does not answer, or has another schema.
        """
        if self._engine.url.get_backend_name() == "sqlite":
            await asyncio.to_thread(upgrade, self._engine)
        await asyncio.to_thread(check_schema, self._engine)

    async def stop(self) -> None:
        """Close the connections."""
        self._writer.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._engine.dispose)

    async def positions(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        """Return how far each partition is in the database; 0 where nothing of it is."""
        there = await self._awaited(partial(self._asked, partial(stored_offsets, self._engine)))
        self._known = {partition: there.get(partition, 0) for partition in partitions}
        return self._known

    def decode(self, incoming: Incoming) -> Job:
        """Read one record, whichever topic it is from."""
        topic = self._topics.topic(incoming.topic)
        if topic is POSTERIORS and len(incoming.value) > MAX_POSTERIOR_BYTES:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE,
                f"The posterior has {len(incoming.value)} bytes, the limit is {MAX_POSTERIOR_BYTES}.",
            )
        message = _MESSAGES[topic.suffix]
        try:
            made = entry(read_message(message, incoming.value), incoming.topic, incoming.trace)
        except DecodeError as error:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED,
                f"The value is not a {message.DESCRIPTOR.full_name}: {error}.",
            ) from error
        except InvalidRecord as error:
            raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(error)) from error
        return Job(made, (incoming.topic, incoming.partition), incoming.offset)

    async def work(self, jobs: list[Job]) -> list[Stored | Rejected]:
        """Store one batch in one transaction."""
        with STORE_SECONDS.time():
            return await self._awaited(partial(self._work, jobs))

    def encode(self, incoming: Incoming, job: Job, result: Stored) -> Sequence[Outgoing]:
        """Nothing follows from a stored record."""
        return ()

    async def committing(self, offsets: Mapping[Partition, int]) -> None:
        """Note the positions after records that were set aside: `work` has noted all others."""
        ahead = {partition: offset for partition, offset in offsets.items() if offset != self._known.get(partition)}
        if ahead:
            await self._awaited(partial(self._write, [], ahead))

    def observe(self, result: Stored) -> None:
        """Count what was new and what was there already."""
        counter = STORED_AGAIN if result.outcome is Outcome.DUPLICATE else STORED
        counter.labels(table=result.table.value).inc()

    def _work(self, jobs: list[Job]) -> list[Stored | Rejected]:
        offsets: dict[Partition, int] = {}
        for job in jobs:
            offsets[job.partition] = max(offsets.get(job.partition, 0), job.offset + 1)
        try:
            outcomes = self._write([job.entry for job in jobs], offsets)
        except (DataError, IntegrityError) as error:
            if len(jobs) == 1:
                return [
                    Rejected(
                        dead_letter_pb2.DEAD_LETTER_REASON_INTERNAL,
                        f"The database refused the record: {str(error.orig).strip()}",
                    )
                ]
            # One record spoils the batch: the others are stored one by one.
            return [result for job in jobs for result in self._work([job])]
        return [Stored(job.entry.table, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]

    def _write(self, entries: list[Entry], offsets: Mapping[Partition, int]) -> list[Outcome]:
        """Store entries and how far they reach. Raises `Transient`, `WentBack`, or what the database refuses."""
        try:
            outcomes = self._asked(lambda: self._store.write(entries, offsets, self._known))
        except Receded:
            raise WentBack from None
        self._known.update(offsets)
        return outcomes

    async def _awaited(self, action: Callable[[], Answer]) -> Answer:
        """Do something with the database in the one thread. Raises `Transient` where it takes too long."""
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.get_running_loop().run_in_executor(self._writer, action)
        except TimeoutError:
            raise Transient(
                f"the results database {shown(self._engine.url)} has not answered for {self._patience:g} s"
            ) from None

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except (DataError, IntegrityError):
            raise
        except SQLAlchemyError as error:
            raise Transient(unreachable(self._engine.url, error)) from error
