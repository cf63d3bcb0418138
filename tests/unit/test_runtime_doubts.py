"""A log that seems to end before the commit stays in doubt until all that follows from it is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from coronium.contract.topics import SPECTRA
from coronium.runtime import faust_app
from coronium.runtime.faust_app import DOUBT_SECONDS, StreamClient
from coronium.runtime.positions import Start
from coronium.runtime.settings import KafkaSettings
from tests.stream.squares import SquareSettings, SquareStage

KAFKA = KafkaSettings(bootstrap_servers="nowhere:1")
TOPIC = KAFKA.topics.name(SPECTRA)
COMMIT = 10
CUT = Start(0, True, cut_short=True)


class Log:
    """Two partitions of which the group has committed ten records, as faust's consumer and its thread show them."""

    def __init__(self) -> None:
        self.ends = {0: COMMIT, 1: COMMIT}
        self.read: dict[int, int | None] = {0: None, 1: None}
        self._thread = self

    def assignment(self) -> set[TP]:
        return {TP(TOPIC, 0), TP(TOPIC, 1)}

    def highwater(self, tp: TP) -> int | None:
        return self.read[tp.partition]

    def _ensure_consumer(self) -> Log:
        return self

    async def call_thread(self, method: Any, *arguments: Any) -> Any:
        return await method(*arguments)

    async def committed(self, tp: TP) -> int:
        return COMMIT

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[Any, int]:
        return {tp: self.ends[tp.partition] for tp in tps}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a test may pass."""
    now = [0.0]
    monkeypatch.setattr(faust_app, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
async def log() -> Log:
    return Log()


@pytest.fixture
async def client(log: Log, now: list[float]) -> StreamClient:
    app: Any = SimpleNamespace(consumer=log)
    client = StreamClient(app, SquareStage(SquareSettings(kafka=KAFKA)), KAFKA.topics)
    await client.expect({})
    return client


async def expected(client: StreamClient) -> list[Start]:
    return [start for _, start in sorted((await client.expect({})).items())]


async def test_what_was_read_is_a_doubt_and_the_broker_decides(client: StreamClient, log: Log) -> None:
    assert not client.doubts()
    log.read[0] = 5
    assert client.doubts()
    assert await expected(client) == [Start(COMMIT), Start(COMMIT)], "an old answer of a leader that follows"
    client.trust()
    log.ends[0] = 5
    assert not client.doubts(), "the same answer is no new doubt for a while"


async def test_a_doubt_is_kept_until_its_consequences_are_drawn(client: StreamClient, log: Log) -> None:
    log.read[0], log.ends[0] = 5, 5
    assert client.doubts()
    assert await expected(client) == [CUT, Start(COMMIT)]
    # Something else failed: everything is asked once more.
    assert await expected(client) == [CUT, Start(COMMIT)]
    client.trust()
    assert await expected(client) == [Start(COMMIT), Start(COMMIT)]


async def test_a_doubt_that_came_while_a_batch_was_in_work_is_not_forgotten(client: StreamClient, log: Log) -> None:
    log.read[0], log.ends[0] = 5, 8
    assert client.doubts()
    log.read[0] = COMMIT
    assert client.doubts()
    assert await expected(client) == [CUT, Start(COMMIT)]


async def test_a_doubt_of_one_partition_hides_no_other(client: StreamClient, log: Log, now: list[float]) -> None:
    log.read[0], log.ends = 5, {0: COMMIT, 1: 5}
    assert client.doubts()
    await expected(client)
    client.trust()
    log.read[1] = 5
    assert client.doubts()
    assert await expected(client) == [Start(COMMIT), CUT]
    client.trust()
    now[0] += DOUBT_SECONDS + 1
    assert client.doubts(), "both still look short"
