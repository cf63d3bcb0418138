"""Which epochs of a target are known: read from the compacted epochs topic, never from memory or database alone.

A replica follows the partitions whose features it works on. The topic says the same to everybody, so what a
replica knows after a rebalance, a kill or a replay from the beginning depends on the topic alone.
"""

from __future__ import annotations

import hashlib
import logging

from google.protobuf.message import DecodeError

from coronium.contract.topics import EPOCHS
from coronium.runtime.compacted import CompactedTopicReader
from coronium.runtime.settings import KafkaSettings
from coronium.v1 import epoch_pb2

log = logging.getLogger(__name__)


def epoch_key(target: str, fingerprint: str) -> bytes:
    """Return the key of an epoch's record. A fingerprint holds no slash, a target may."""
    return f"{target}/{fingerprint}".encode()


class PartitionEpochs:
    """The epochs of one partition's targets, and a digest that follows every change.

    Attributes
    ----------
    digest : int
        Sum of the hashes of all (target, fingerprint, result id), modulo 2^64: equal where the sets are, whatever the
        order in which they were made.
    """

    def __init__(self) -> None:
        self._targets: dict[str, dict[str, str]] = {}
        self.digest = 0

    def add(self, target: str, fingerprint: str, result_id: str) -> None:
        """Know an epoch; the result id told last is the one that holds."""
        self.remove(target, fingerprint)
        self._targets.setdefault(target, {})[fingerprint] = result_id
        self._count(+1, target, fingerprint, result_id)

    def remove(self, target: str, fingerprint: str) -> None:
        """Forget an epoch, where it is known."""
        known = self._targets.get(target, {})
        result_id = known.pop(fingerprint, None)
        if result_id is not None:
            self._count(-1, target, fingerprint, result_id)
            if not known:
                del self._targets[target]

    def _count(self, sign: int, *entry: str) -> None:
        hashed = hashlib.sha256("\0".join(entry).encode()).digest()
        self.digest = (self.digest + sign * int.from_bytes(hashed[:8], "big")) % 2**64


class Epochs:
    """The epochs of the targets in our partitions.

    Parameters
    ----------
    kafka : KafkaSettings
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._reader = CompactedTopicReader(kafka, kafka.topics.name(EPOCHS), self._on_record, remember=False)
        self._known: dict[int, PartitionEpochs] = {}

    async def start(self) -> None:
        """Connect. Raises what `CompactedTopicReader.start` raises."""
        await self._reader.start(partitions=())

    async def stop(self) -> None:
        """Let go."""
        await self._reader.stop()

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Know everything that was written to these partitions before this call, and forget the others.

        Raises
        ------
        Transient
            The topic cannot be read to its end.
        """
        self._known = {partition: self._known.get(partition) or PartitionEpochs() for partition in partitions}
        self._reader.assign(partitions)
        await self._reader.catch_up()

    def digests(self) -> dict[int, str]:
        """Return what is known of each partition as 16 hexadecimal digits."""
        return {partition: f"{epochs.digest:016x}" for partition, epochs in self._known.items()}

    def _on_record(self, partition: int, key: bytes, value: bytes | None) -> None:
        epochs = self._known.get(partition)
        if epochs is None:
            return
        if value is None:
            target, _, fingerprint = key.decode("utf-8", "replace").rpartition("/")
            epochs.remove(target, fingerprint)
            return
        try:
            record = epoch_pb2.EpochRecord.FromString(value)
        except DecodeError:
            log.error("an epoch's record is no EpochRecord and is passed over", extra={"partition": partition})
            return
        epochs.add(record.target, record.fingerprint, record.result_id)
