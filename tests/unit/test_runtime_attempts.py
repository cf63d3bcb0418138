"""An attempt that was given up is no attempt, and what is done leaves nothing in the attempts topic."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from google.protobuf.wrappers_pb2 import UInt64Value

from coronium.contract.topics import ATTEMPTS, StageName
from coronium.runtime.attempts import Attempts
from coronium.runtime.dead_letters import FailureRate
from coronium.runtime.executors import Executor
from coronium.runtime.faust_app import StreamClient
from coronium.runtime.outcomes import Abandoned, TooManyFailures
from coronium.runtime.settings import KafkaSettings, LoopSettings
from coronium.runtime.settle import Settler
from coronium.runtime.stage import Incoming, Outgoing, Transient
from coronium.runtime.workers import WorkFailed
from tests.stream.squares import SquareSettings, SquareStage

SUSPECT = Incoming("coronium.spectra.v1", 0, 5, b"target", b"2", {}, 1e9)
KEY = b"extraction/coronium.spectra.v1/0/5"
SETTINGS = LoopSettings(backoff_seconds=0.01, failure_minimum=1)


class Broker:
    """Takes records, or is away; lets every commit pass."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[Outgoing] = []

    def partitions(self) -> frozenset[tuple[str, int]]:
        return frozenset([(SUSPECT.topic, SUSPECT.partition)])

    async def produce(self, records: Sequence[tuple[Outgoing, Any]]) -> None:
        if self.away:
            raise Transient("no broker answers")
        self.taken += [record for record, _ in records]

    async def write(self, records: Sequence[Outgoing]) -> None:
        await self.produce([(record, None) for record in records])

    async def commit(self, offsets: object) -> bool:
        return True

    @property
    def counted(self) -> dict[bytes, int]:
        """What compaction leaves of the attempts."""
        kept = {record.key: record.value for record in self.taken if record.topic is ATTEMPTS}
        return {key: UInt64Value.FromString(value).value for key, value in kept.items() if value is not None}

    @property
    def letters(self) -> list[Outgoing]:
        return [record for record in self.taken if "dead-letters" in record.topic.suffix]


class Interrupted(Executor):
    """While it works, the broker goes away and the partitions are asked back; or the worker dies."""

    def __init__(self, broker: Broker, leave: asyncio.Event) -> None:
        self.broker, self.leave = broker, leave
        self.interrupt = True
        self.die = False

    async def start(self) -> None: ...

    async def run(self, jobs: list[Any]) -> list[Any]:
        if self.interrupt:
            self.broker.away = True
            self.leave.set()
        if self.die:
            self.broker.away = True
            raise WorkFailed("crash", "the worker died")
        return [4] * len(jobs)

    async def stop(self) -> None: ...


class Scene:
    """One suspect and the process that settles it."""

    def __init__(self, **settings: Any) -> None:
        self.broker = Broker()
        self.leave = asyncio.Event()
        self.attempts = Attempts(KafkaSettings(bootstrap_servers="nowhere:1"), StageName.EXTRACTION)
        self.attempts._begun = {(SUSPECT.topic, SUSPECT.partition): 10}
        self.executor = Interrupted(self.broker, self.leave)
        loop = SETTINGS.model_copy(update=settings)
        stage, client = SquareStage(SquareSettings()), cast(StreamClient, self.broker)
        self._settler = Settler(stage, loop, client, self.executor, self.attempts, FailureRate(loop), self.leave)

    async def settle(self) -> None:
        await self._settler.settle([SUSPECT])


async def test_attempts_given_up_while_the_broker_is_away_never_make_a_dead_letter() -> None:
    scene = Scene()
    for _ in range(4):
        with pytest.raises(Abandoned):
            await scene.settle()
        scene.leave.clear()
        scene.broker.away = False
    assert scene.attempts.made(SUSPECT) == 0
    scene.executor.interrupt = False
    await scene.settle()
    assert not scene.broker.letters
    assert scene.broker.counted == {}


async def test_an_attempt_that_was_taken_back_is_told_when_the_broker_is_there_again() -> None:
    scene = Scene()
    with pytest.raises(Abandoned):
        await scene.settle()
    assert scene.broker.counted == {KEY: 1}
    await scene.attempts.tell_owed(scene.broker.write)
    assert scene.broker.counted == {KEY: 1}
    scene.broker.away = False
    await scene.attempts.tell_owed(scene.broker.write)
    assert scene.broker.counted == {}
    told = len(scene.broker.taken)
    await scene.attempts.tell_owed(scene.broker.write)
    assert len(scene.broker.taken) == told


async def test_an_attempt_that_could_not_be_recorded_is_none() -> None:
    scene = Scene()
    scene.broker.away = True
    asyncio.get_running_loop().call_later(0.05, scene.leave.set)
    with pytest.raises(Abandoned):
        await scene.settle()
    assert scene.attempts.made(SUSPECT) == 0


async def test_a_stage_that_stops_for_its_failures_while_the_broker_is_away_begins_the_record_anew() -> None:
    scene = Scene(attempts=1)
    scene.executor.interrupt, scene.executor.die = False, True
    with pytest.raises(TooManyFailures):
        await scene.settle()
    assert scene.attempts.made(SUSPECT) == 0
    scene.broker.away = False
    await scene.attempts.tell_owed(scene.broker.write)
    assert scene.broker.counted == {}


async def test_of_an_attempt_taken_back_the_earlier_ones_stay() -> None:
    scene = Scene()
    await scene.broker.write([*scene.attempts.attempt(SUSPECT), *scene.attempts.attempt(SUSPECT)])
    scene.attempts.undo(SUSPECT)
    await scene.attempts.tell_owed(scene.broker.write)
    assert scene.broker.counted == {KEY: 1}
    await scene.broker.write(scene.attempts.done(SUSPECT))
    assert scene.broker.counted == {}


def test_attempts_of_a_log_that_lost_its_end_count_for_nothing_that_is_written_next() -> None:
    attempts = Attempts(KafkaSettings(bootstrap_servers="nowhere:1"), StageName.EXTRACTION)
    partition, other = (SUSPECT.topic, SUSPECT.partition), replace(SUSPECT, partition=1)
    for incoming in (SUSPECT, other):
        for _ in range(3):
            attempts.attempt(incoming)
    assert [record.value for record in attempts.go_back({partition: 0, (other.topic, 1): 0})] != []
    assert attempts.made(SUSPECT) == 3, "the same log: the same records"
    records = attempts.go_back({partition: 0}, [partition])
    assert [record.key for record in records if record.value is None] == [KEY]
    assert attempts.made(SUSPECT) == 0
    assert attempts.made(other) == 3
    # Where the broker did not take it, it is said again.
    assert attempts.go_back({partition: 0}, [partition]) == records
