"""What the loop does at a rebalance, with a broker and a worker that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.loop import StageLoop
from coronium.runtime.positions import INSIST_SECONDS, Positions, Start
from coronium.runtime.settings import LoopSettings
from coronium.runtime.stage import Incoming, Outgoing, Stage

TOPIC = "coronium.spectra.v1"


class Echo(Stage[int, int]):
    """Does nothing with a record."""

    name = StageName.EXTRACTION
    sources = (SPECTRA,)
    products = (OBSERVATIONS,)
    batch_size = 4
    batch_seconds = 0.2

    def decode(self, incoming: Incoming) -> int:
        return incoming.offset

    def encode(self, incoming: Incoming, job: int, result: int) -> Sequence[Outgoing]:
        return ()


class Broker:
    """Two partitions, ours, from offset 0."""

    def __init__(self) -> None:
        self.generation = 1
        self.joined = True
        self.committed: dict[tuple[str, int], int] = {}
        self.read_again: list[tuple[str, int]] = []
        self.begins: dict[tuple[str, int], Start] = {}
        self.doubt = False
        self.rewound = 0
        self.now = 0.0
        self._positions = Positions()

    def suffix(self, topic: str) -> str:
        return topic

    def partitions(self) -> frozenset[tuple[str, int]]:
        return frozenset({(TOPIC, 0), (TOPIC, 1)})

    async def expect(self, stored: Any) -> dict[tuple[str, int], Start]:
        starts = {tp: Start(self.committed.get(tp, 0)) for tp in self.partitions()} | self.begins
        self._positions = Positions({tp: begin.offset for tp, begin in starts.items()}, lambda: self.now)
        return starts

    async def admit(self, incoming: Incoming) -> bool:
        return self._positions.take((incoming.topic, incoming.partition), incoming.offset) == "take"

    async def insist(self) -> None:
        self.read_again += self._positions.overdue()

    def doubts(self) -> bool:
        return self.doubt

    def trust(self) -> None:
        self.doubt = False

    async def go_back(self, starts: dict[tuple[str, int], int]) -> bool:
        return await self.commit(starts)

    async def rewind(self) -> None:
        self.rewound += 1

    async def produce(self, records: Any) -> None:
        return

    async def commit(self, offsets: dict[tuple[str, int], int]) -> bool:
        self.committed.update(offsets)
        return True


class NoAttempts:
    async def assigned(self, partitions: Any) -> None:
        return

    def suspect(self, incoming: Incoming) -> bool:
        return False

    def begin(self, batch: Any) -> list[Any]:
        return []

    def done(self, incoming: Incoming) -> list[Any]:
        return []

    def go_back(self, starts: Any, anew: Any) -> list[Any]:
        return []


class Worker:
    """Keeps what it was given; works until `gate` is set."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, jobs: list[int]) -> list[int]:
        self.given.append(jobs)
        await self.gate.wait()
        return jobs


def record(offset: int, partition: int = 0) -> Incoming:
    return Incoming(TOPIC, partition, offset, b"", b"", {}, 1.0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def nothing() -> None:
    return


def made(broker: Broker, worker: Worker) -> StageLoop:
    settings = LoopSettings(deadline_seconds=0.5, rebalance_seconds=10, grace_seconds=20)
    parts: list[Any] = [Echo(), settings, broker, worker, NoAttempts()]
    return StageLoop(*parts)


async def test_a_batch_that_does_not_end_is_cancelled_a_deadline_after_its_partitions_are_asked_back() -> None:
    broker, worker = Broker(), Worker()
    worker.gate.clear()
    loop = made(broker, worker)
    running = asyncio.create_task(loop.run(nothing, nothing))
    await loop.on_event(record(0), 1)
    await until(lambda: worker.given == [[0]])
    async with asyncio.timeout(5):
        await loop.on_revoked()
    broker.generation = 2
    worker.gate.set()
    await loop.on_event(record(0), 2)
    await until(lambda: broker.committed == {(TOPIC, 0): 1})
    assert worker.given == [[0], [0]]
    await loop.close()
    await running


async def test_what_was_collected_before_a_rebalance_is_not_begun_after_it() -> None:
    broker, worker = Broker(), Worker()
    loop = made(broker, worker)
    running = asyncio.create_task(loop.run(nothing, nothing))
    await loop.on_event(record(0), 1)
    await loop.on_event(record(1), 1)
    await until(lambda: broker._positions.expected.get((TOPIC, 0)) == 2)
    # Nothing is in work yet: the batch waits for more. The successor has it now, and gives it back at once.
    await loop.on_revoked()
    broker.generation = 2
    broker.committed = {(TOPIC, 0): 1}
    await loop.on_event(record(1), 2)
    await until(lambda: broker.committed == {(TOPIC, 0): 2})
    assert worker.given == [[1]]
    await loop.close()
    await running


async def test_a_gap_is_read_again_while_other_partitions_keep_the_loop_busy() -> None:
    broker, worker = Broker(), Worker()
    loop = made(broker, worker)
    running = asyncio.create_task(loop.run(nothing, nothing))
    await loop.on_event(record(0, partition=0), 1)
    await loop.on_event(record(7, partition=1), 1)
    await until(lambda: len(worker.given) == 1)
    broker.now = INSIST_SECONDS + 1
    for offset in range(1, 9):
        await loop.on_event(record(offset, partition=0), 1)
        if offset % 4 == 0:
            await until(lambda: sum(map(len, worker.given)) >= offset)  # noqa: B023
    assert broker.read_again == [(TOPIC, 1)]
    await loop.close()
    await running


async def test_a_log_that_has_become_shorter_is_read_again_while_other_partitions_keep_the_loop_busy() -> None:
    broker, worker = Broker(), Worker()
    broker.committed = {(TOPIC, 1): 50}
    loop = made(broker, worker)
    running = asyncio.create_task(loop.run(nothing, nothing))
    await loop.on_event(record(0), 1)
    await until(lambda: worker.given == [[0]])
    # The new records of partition 1 count as done, until somebody asks.
    broker.begins = {(TOPIC, 1): Start(0, True, cut_short=True)}
    broker.doubt = True
    await loop.on_event(record(0, partition=1), 1)
    await until(lambda: broker.rewound == 1)
    assert broker.committed == {(TOPIC, 0): 1, (TOPIC, 1): 0}
    await loop.on_event(record(0, partition=1), 1)
    await loop.on_event(record(1), 1)
    await until(lambda: broker.committed == {(TOPIC, 0): 2, (TOPIC, 1): 1})
    assert sum(map(len, worker.given)) == 3, "nothing is done twice but what was cut short"
    await loop.close()
    await running
