"""What was begun and never ended, remembered on the broker so that it survives every process of ours.

Two kinds of records live in the compacted topic `ATTEMPTS`:

* ``stage/topic/partition``: the offset after the last record of the batch begun there. It is written before the
  batch is worked on. Whoever is assigned the partition later and finds uncommitted records below it knows that
  a process died over them: these suspects are worked on one at a time.
* ``stage/topic/partition/offset``: how often this record was worked on alone. It is written before the attempt
  and deleted when the record is done.

So a record that kills the whole parent with its worker is set aside after as many deaths as one that kills
only its worker. An attempt that was given up, not died of, is taken back: at once where the broker answers, else it
is owed to it.
"""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import UInt64Value

from coronium.contract.topics import ATTEMPTS, StageName
from coronium.runtime.compacted import CompactedTopicReader
from coronium.runtime.settings import KafkaSettings
from coronium.runtime.stage import Incoming, Outgoing, Transient

Produce = Callable[[Sequence[Outgoing]], Awaitable[None]]


class Attempts:
    """The memory of one stage's attempts."""

    def __init__(self, kafka: KafkaSettings, stage: StageName) -> None:
        self._stage = stage
        self._prefix = f"{stage.value}/".encode()
        self._counts: dict[bytes, int] = {}
        self._owed: dict[bytes, int] = {}
        self._reader = CompactedTopicReader(kafka, kafka.topics.name(ATTEMPTS), self._on_record, remember=False)
        self._begun: dict[tuple[str, int], int] = {}

    async def start(self) -> None:
        """Connect. Raises what `CompactedTopicReader.start` raises."""
        await self._reader.start()

    async def stop(self) -> None:
        """Let go."""
        await self._reader.stop()

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Look up which batches were begun in partitions that are ours now. Raises `Transient`."""
        await self._reader.catch_up()
        self._begun = {tp: self._counts.get(self._key(*tp), 0) for tp in partitions}

    def suspect(self, incoming: Incoming) -> bool:
        """Whether a batch with this record was begun by a process that did not finish it."""
        return incoming.offset < self._begun.get((incoming.topic, incoming.partition), 0)

    def made(self, incoming: Incoming) -> int:
        """How many solo attempts of this record were begun."""
        key = self._key_of(incoming)
        return self._owed.get(key, self._counts.get(key, 0))

    def begin(self, batch: list[Incoming]) -> list[Outgoing]:
        """Return what must be acknowledged before a batch is worked on."""
        ends: dict[bytes, int] = {}
        for incoming in batch:
            key = self._key(incoming.topic, incoming.partition)
            ends[key] = max(ends.get(key, 0), incoming.offset + 1)
        return [self._record(key, end) for key, end in ends.items()]

    def go_back(self, starts: Mapping[tuple[str, int], int], anew: Collection[tuple[str, int]] = ()) -> list[Outgoing]:
        """Return what takes back the marks of partitions that are read again from these offsets.

        Nobody died over the records that follow: they were done once. To be acknowledged before the group's
        commit goes back, so that no process ever finds the old mark above the new commit.

        Parameters
        ----------
        starts : mapping of (topic, partition) to int
        anew : collection of (topic, partition)
            Those of them whose log has other records now: attempts of what stood there count for none of them.
        """
        self._begun.update(starts)
        logs = tuple(self._key(*tp) + b"/" for tp in anew)
        others = [key for key in self._counts if key.startswith(logs)]
        self._owed.update(dict.fromkeys(others, 0))
        marks = [self._record(self._key(*tp), offset) for tp, offset in starts.items()]
        return marks + [self._deleted(key) for key in others]

    def attempt(self, incoming: Incoming) -> list[Outgoing]:
        """Return what must be acknowledged before a record is worked on alone; counts the attempt."""
        key = self._key_of(incoming)
        self._counts[key] = self.made(incoming) + 1
        self._owed.pop(key, None)
        return [self._record(key, self._counts[key])]

    def undo(self, incoming: Incoming) -> None:
        """Take the last attempt back: it was given up, not died of. Told with the next `tell_owed`."""
        self._owed[self._key_of(incoming)] = max(self.made(incoming) - 1, 0)

    def forget(self, incoming: Incoming) -> None:
        """Take all attempts back: the record begins anew. Told with the next `tell_owed`."""
        self._owed[self._key_of(incoming)] = 0

    async def tell_owed(self, produce: Produce) -> None:
        """Tell the broker what was taken back; where it is away, the next call does.

        Also told where the partition has gone meanwhile: at worst its next owner forgets an attempt of its own.
        """
        if not self._owed:
            return
        with contextlib.suppress(Transient):
            await produce([self._record(key, made) if made else self._deleted(key) for key, made in self._owed.items()])
            self._counts.update(self._owed)
            self._owed.clear()

    def done(self, incoming: Incoming) -> list[Outgoing]:
        """Return what forgets the attempts of a record; nothing where there were none."""
        key = self._key_of(incoming)
        counted = key in self._counts or key in self._owed
        self._counts.pop(key, None)
        self._owed.pop(key, None)
        return [self._deleted(key)] if counted else []

    def _record(self, key: bytes, value: int) -> Outgoing:
        return Outgoing(ATTEMPTS, key, UInt64Value(value=value).SerializeToString())

    def _deleted(self, key: bytes) -> Outgoing:
        return Outgoing(ATTEMPTS, key, None)

    def _key(self, topic: str, partition: int) -> bytes:
        return self._prefix + f"{topic}/{partition}".encode()

    def _key_of(self, incoming: Incoming) -> bytes:
        return self._key(incoming.topic, incoming.partition) + f"/{incoming.offset}".encode()

    def _on_record(self, partition: int, key: bytes, value: bytes | None) -> None:
        if not key.startswith(self._prefix):
            return
        if value is None:
            self._counts.pop(key, None)
            return
        # What is no number was not written by us.
        with contextlib.suppress(DecodeError):
            self._counts[key] = UInt64Value.FromString(value).value
