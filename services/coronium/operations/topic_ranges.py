"""Read a part of a topic: from one offset or time to another, and never further than the end was at the start."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from coronium.contract.limits import MAX_FETCH_BYTES
from coronium.runtime.brokers import admitted_options
from coronium.runtime.errors import StartError, Unreachable
from coronium.runtime.settings import KafkaSettings

_CONNECT_MILLISECONDS = 5_000
_PATIENCE_SECONDS = 30.0
# The year 2100: no record is as late.
_FAR_FUTURE = 4_102_444_800.0
# By how much producers may disagree about the time: so far behind the end of a period is looked at.
_DISORDER_SECONDS = 3600.0


@dataclass(frozen=True)
class Range:
    """Offsets of one partition.

    Parameters
    ----------
    topic : str
        Full name.
    partition : int
    start, end : int
        The first offset, and the one after the last.
    """

    topic: str
    partition: int
    start: int
    end: int

    def __len__(self) -> int:
        return max(self.end - self.start, 0)

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and self.start <= offset < self.end


def open_consumer(kafka: KafkaSettings) -> KafkaConsumer:
    """Return a consumer without a group: it commits nothing.

    Raises
    ------
    SettingsError
        A certificate or a key cannot be used.
    Refused
        A broker does not let us in.
    kafka.errors.KafkaError
        None answers.
    """
    return KafkaConsumer(
        **admitted_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=MAX_FETCH_BYTES,
        bootstrap_timeout_ms=_CONNECT_MILLISECONDS,
    )


def ranges(consumer: KafkaConsumer, topic: str, since: float | None = None, until: float | None = None) -> list[Range]:
    """Return what a topic holds now, by partition.

    Parameters
    ----------
    consumer : KafkaConsumer
    topic : str
        Full name.
    since, until : float, optional
        Seconds since 1970 UTC. All records of this time are within the ranges, and others too: each must be looked
        at. The embedded broker has no index of times and is read whole.

    Raises
    ------
    StartError
        There is no such topic.
    """
    # Asked in this order, because a broker may create a topic it is asked for by its name.
    if topic not in consumer.topics():
        raise StartError(f"there is no topic {topic}; create it with `coronium topics create`.")
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    starts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    if (since is not None or until is not None) and _times_are_indexed(consumer, partitions):
        if since is not None:
            starts = _first(consumer, partitions, since, ends)
        if until is not None:
            ends = _first(consumer, partitions, until + _DISORDER_SECONDS, ends)
    return [Range(tp.topic, tp.partition, starts[tp], ends[tp]) for tp in partitions]


def records(consumer: KafkaConsumer, within: Iterable[Range]) -> Iterator[Any]:
    """Yield the records of ranges, as kafka-python gives them: in order within a partition.

    Raises
    ------
    Unreachable
        The broker sends nothing more before the end.
    kafka.errors.KafkaError
        It refuses.
    """
    ends = {TopicPartition(part.topic, part.partition): part.end for part in within if len(part)}
    starts = {TopicPartition(part.topic, part.partition): part.start for part in within if len(part)}
    if not ends:
        return
    consumer.assign(list(ends))
    consumer.resume(*ends)
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    last = time.monotonic()
    while ends:
        for partition, batch in consumer.poll(timeout_ms=500).items():
            yield from (record for record in batch if partition in ends and record.offset < ends[partition])
            # Whoever takes the records may take long over them: the broker is waited for from here.
            last = time.monotonic()
        for partition in [tp for tp, end in ends.items() if consumer.position(tp) >= end]:
            del ends[partition]
            consumer.pause(partition)
        if time.monotonic() - last > _PATIENCE_SECONDS:
            raise Unreachable("the broker sends no more records before the end it named; look at it, then try again.")


def _first(
    consumer: KafkaConsumer, partitions: list[TopicPartition], seconds: float, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return the offset of the first record that is as late as a time; the end where there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, math.floor(seconds * 1000)))
    return {tp: found[tp].offset if found.get(tp) is not None else ends[tp] for tp in partitions}


def _times_are_indexed(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> bool:
    """Whether the broker knows which record is as late as a time: the embedded one finds some for every time."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, math.floor(_FAR_FUTURE * 1000)))
    return all(answer is None for answer in found.values())
