"""The results stage stores what arrives, sets aside what cannot be stored and waits for an absent database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName, Topic, TopicNames
from coronium.results.database import DatabaseUnavailable, open_engine
from coronium.results.queries import Queries
from coronium.results.records import Table
from coronium.results.stage import Job, ResultsStage, Stored
from coronium.results.store import Outcome
from coronium.runtime.metrics import REGISTRY
from coronium.runtime.stage import Incoming, Rejected, Transient, WentBack
from coronium.v1 import dead_letter_pb2, results_pb2
from tests.unit.posterior_factory import dead_letter, observation, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]

TOPICS = TopicNames("survey")


@pytest.fixture
def stage(engine: Engine) -> ResultsStage:
    return ResultsStage(engine, TOPICS)


def incoming(topic: Topic, value: bytes, offset: int = 0) -> Incoming:
    return Incoming(TOPICS.name(topic), 0, offset, b"capella", value, {}, 0.0)


def jobs(stage: ResultsStage) -> list[Job]:
    return [
        stage.decode(incoming(OBSERVATIONS, observation().SerializeToString())),
        stage.decode(incoming(POSTERIORS, posterior().SerializeToString())),
        *(
            stage.decode(incoming(topic, dead_letter(stage=name.value, seed=5).SerializeToString()))
            for name, topic in DEAD_LETTERS.items()
        ),
    ]


async def test_every_source_is_stored_and_nothing_follows(stage: ResultsStage, engine: Engine) -> None:
    await stage.start()
    results = await stage.work(jobs(stage))
    assert results == [
        Stored(Table.OBSERVATIONS, Outcome.STORED),
        Stored(Table.POSTERIORS, Outcome.STORED),
        *(Stored(Table.DEAD_LETTERS, Outcome.STORED) for _ in StageName),
    ]
    again = await stage.work(jobs(stage))
    assert {result.outcome for result in again if isinstance(result, Stored)} == {Outcome.DUPLICATE}
    assert stage.encode(incoming(POSTERIORS, b""), jobs(stage)[0], Stored(Table.POSTERIORS, Outcome.STORED)) == ()
    assert Queries(engine).dead_letters("", 0, "").total == len(DEAD_LETTERS)


@pytest.mark.parametrize("topic", [POSTERIORS, OBSERVATIONS, DEAD_LETTERS[StageName.FITTING]])
def test_bytes_that_are_no_message_are_rejected_as_malformed(stage: ResultsStage, topic: Topic) -> None:
    with pytest.raises(Rejected) as raised:
        stage.decode(incoming(topic, b"\xff\xff no message"))
    assert raised.value.reason == dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED
    assert topic.message in raised.value.detail


def test_a_message_without_identity_is_rejected_as_invalid(stage: ResultsStage) -> None:
    for topic in (POSTERIORS, OBSERVATIONS):
        with pytest.raises(Rejected) as raised:
            stage.decode(incoming(topic, b""))
        assert raised.value.reason == dead_letter_pb2.DEAD_LETTER_REASON_INVALID


async def test_one_record_that_the_database_refuses_does_not_spoil_its_batch(
    stage: ResultsStage, engine: Engine
) -> None:
    batch = jobs(stage)
    batch[1].entry.row["target"] = None
    results = await stage.work(batch)
    assert isinstance(results[1], Rejected)
    assert results[1].reason == dead_letter_pb2.DEAD_LETTER_REASON_INTERNAL
    assert all(isinstance(result, Stored) for result in results[:1] + results[2:])
    assert Queries(engine).observation(observation().fingerprint) is not None
    assert Queries(engine).results(results_pb2.ResultFilter(), 0, "").total == 0


async def test_a_database_that_fails_is_waited_for(stage: ResultsStage, engine: Engine) -> None:
    batch = jobs(stage)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE observations RENAME TO away"))
    with pytest.raises(Transient):
        await stage.work(batch)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO observations"))
    assert all(isinstance(result, Stored) for result in await stage.work(batch))


async def test_an_absent_server_is_waited_for_and_refused_at_the_start() -> None:
    stage = ResultsStage(open_engine("postgresql://nobody@127.0.0.1:1/results"), TOPICS)
    with pytest.raises(Transient, match=r"127\.0\.0\.1"):
        await stage.work(jobs(stage))
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1"):
        await stage.start()


async def test_a_writer_that_falls_silent_in_its_transaction_is_waited_for_and_then_ended(postgresql_url: str) -> None:
    # As a replica that is stopped, or whose machine is, with the lock of the writers in its hand.
    frozen = open_engine(postgresql_url, statement_seconds=3.0).connect()
    frozen.execute(text("UPDATE changes SET number = number + 1"))
    stage = ResultsStage(open_engine(postgresql_url, pool_size=1), TOPICS, patience_seconds=0.5)
    batch = jobs(stage)
    for _ in range(3):
        with pytest.raises(Transient, match="has not answered"):
            await stage.work(batch)
    await asyncio.sleep(3.0)
    assert all(isinstance(result, Stored) for result in await stage.work(batch))
    with pytest.raises(DBAPIError, match="idle"):
        frozen.execute(text("SELECT 1"))
    await stage.stop()


async def test_the_database_gives_up_a_statement_before_we_do(postgresql_url: str) -> None:
    holder = open_engine(postgresql_url).connect()
    holder.execute(text("UPDATE changes SET number = number + 1"))
    stage = ResultsStage(open_engine(postgresql_url, pool_size=1, statement_seconds=0.3), TOPICS, patience_seconds=10)
    with pytest.raises(Transient, match="statement timeout"):
        await stage.work(jobs(stage))
    holder.rollback()
    assert all(isinstance(result, Stored) for result in await stage.work(jobs(stage)))
    holder.close()
    await stage.stop()


async def test_a_fresh_sqlite_file_needs_no_upgrade_by_hand(tmp_path: Path) -> None:
    stage = ResultsStage(open_engine(f"sqlite:///{tmp_path / 'fresh.db'}"), TOPICS)
    await stage.start()
    assert len(await stage.work(jobs(stage))) == 2 + len(DEAD_LETTERS)
    await stage.stop()


def test_what_is_new_and_what_is_not_are_counted_apart(stage: ResultsStage) -> None:
    def count(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"table": "posteriors"}) or 0.0

    new, again = count("coronium_stored_total"), count("coronium_stored_again_total")
    for outcome in (Outcome.STORED, Outcome.REPLACED, Outcome.DUPLICATE):
        stage.observe(Stored(Table.POSTERIORS, outcome))
    assert (count("coronium_stored_total") - new, count("coronium_stored_again_total") - again) == (2.0, 1.0)


def numbered(stage: ResultsStage, *offsets: int) -> list[Job]:
    """Return jobs of posteriors that stand at these offsets."""
    return [
        stage.decode(incoming(POSTERIORS, posterior(seeds=(offset,)).SerializeToString(), offset)) for offset in offsets
    ]


PARTITION = (TOPICS.name(POSTERIORS), 0)
OURS = frozenset([PARTITION, (TOPICS.name(OBSERVATIONS), 0)])


async def test_how_far_kafka_is_stored_is_in_the_database_with_the_rows(stage: ResultsStage, engine: Engine) -> None:
    assert set((await stage.positions(OURS)).values()) == {0}
    await stage.work(numbered(stage, 4, 5, 6))
    assert (await stage.positions(OURS))[PARTITION] == 7
    # A record that was set aside has no job; its position is noted before it is committed.
    await stage.committing({PARTITION: 9})
    another = ResultsStage(engine, TOPICS)
    assert (await another.positions(OURS))[PARTITION] == 9
    # Read again from earlier, too little is said rather than too much.
    await another.work(numbered(another, 2, 3))
    assert (await another.positions(OURS))[PARTITION] == 4


async def test_a_batch_that_the_database_refuses_moves_no_position(stage: ResultsStage) -> None:
    batch = numbered(stage, 1)
    batch[0].entry.row["target"] = None
    assert isinstance((await stage.work(batch))[0], Rejected)
    assert (await stage.positions(OURS))[PARTITION] == 0


async def test_a_database_that_was_emptied_under_the_stage_is_written_to_only_from_the_beginning(
    stage: ResultsStage, engine: Engine
) -> None:
    await stage.positions(OURS)
    await stage.work(numbered(stage, 0, 1, 2))
    with engine.begin() as connection:
        for table in ("result_epochs", "results", "stored_offsets"):
            connection.execute(text(f"DELETE FROM {table}"))
    with pytest.raises(WentBack):
        await stage.work(numbered(stage, 3, 4))
    with pytest.raises(WentBack):
        await stage.committing({PARTITION: 6})
    assert Queries(engine).results(results_pb2.ResultFilter(), 0, "").total == 0
    assert (await stage.positions(OURS))[PARTITION] == 0
    await stage.work(numbered(stage, 0, 1, 2, 3, 4))
    assert (await stage.positions(OURS))[PARTITION] == 5
