"""The last stage of the stream: what arrives is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from google.protobuf.message import DecodeError
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from coronium.contract.limits import MAX_POSTERIOR_BYTES
from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName, Topic, TopicNames
from coronium.contract.wire import read_message
from coronium.results.database import check_schema, unreachable, upgrade
from coronium.results.records import Entry, InvalidRecord, Record, Table, entry
from coronium.results.store import Outcome, Store
from coronium.runtime.metrics import STORE_SECONDS, STORED, STORED_AGAIN
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage, Transient
from coronium.v1 import dead_letter_pb2, posterior_pb2, spectrum_pb2

_MESSAGES: dict[str, type[Record]] = {
    POSTERIORS.suffix: posterior_pb2.Posterior,
    OBSERVATIONS.suffix: spectrum_pb2.Observation,
    **{topic.suffix: dead_letter_pb2.DeadLetter for topic in DEAD_LETTERS.values()},
}


@dataclass(frozen=True)
class Stored:
    """What became of one record."""

    table: Table
    outcome: Outcome


class ResultsStage(Stage[Entry, Stored]):
    """Stores posteriors, observations and the dead letters of all stages; produces nothing.

    Parameters
    ----------
    engine : Engine
        Of the results database.
    topics : TopicNames
        Under which prefix the topics are named.
    """

    name: ClassVar[StageName] = StageName.RESULTS
    sources: ClassVar[tuple[Topic, ...]] = (POSTERIORS, OBSERVATIONS, *DEAD_LETTERS.values())
    # A batch of the largest observations still takes a quarter of a gigabyte.
    batch_size = 32
    batch_seconds = 0.1

    def __init__(self, engine: Engine, topics: TopicNames) -> None:
        self._engine = engine
        self._topics = topics
        self._store = Store(engine)

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
        await asyncio.to_thread(self._engine.dispose)

    def decode(self, incoming: Incoming) -> Entry:
        """Read one record, whichever topic it is from."""
        topic = self._topics.topic(incoming.topic)
        if topic is POSTERIORS and len(incoming.value) > MAX_POSTERIOR_BYTES:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE,
                f"The posterior has {len(incoming.value)} bytes, the limit is {MAX_POSTERIOR_BYTES}.",
            )
        message = _MESSAGES[topic.suffix]
        try:
            return entry(read_message(message, incoming.value))
        except DecodeError as error:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED,
                f"The value is not a {message.DESCRIPTOR.full_name}: {error}.",
            ) from error
        except InvalidRecord as error:
            raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(error)) from error

    async def work(self, jobs: list[Entry]) -> list[Stored | Rejected]:
        """Store one batch in one transaction."""
        with STORE_SECONDS.time():
            return await asyncio.to_thread(self._work, jobs)

    def encode(self, incoming: Incoming, job: Entry, result: Stored) -> Sequence[Outgoing]:
        """Nothing follows from a stored record."""
        return ()

    def observe(self, result: Stored) -> None:
        """Count what was new and what was there already."""
        counter = STORED_AGAIN if result.outcome is Outcome.DUPLICATE else STORED
        counter.labels(table=result.table.value).inc()

    def _work(self, jobs: list[Entry]) -> list[Stored | Rejected]:
        try:
            outcomes = self._store.write(jobs)
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
        except SQLAlchemyError as error:
            raise Transient(unreachable(self._engine.url, error)) from error
        return [Stored(job.table, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
