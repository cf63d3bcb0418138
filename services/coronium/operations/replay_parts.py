"""A part of a topic as the source of a replay."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kafka import KafkaConsumer

from coronium.contract.topics import Topic
from coronium.operations.replay_sources import Candidate, headers_of, original_of, place_of
from coronium.operations.topic_ranges import Range, ranges, records
from coronium.runtime.settings import KafkaSettings

COPY = "a copy of a record that is replayed itself"
"""Why a record is passed over."""


@dataclass
class TopicPart:
    """The records of a topic between two offsets or times.

    A copy that an earlier replay has put into the topic is passed over where its original is replayed as well, so that
    the same period twice over does not double what there is to do. Where a log has lost its end, another record may
    stand in the original's place: their bytes tell.

    Parameters
    ----------
    consumer : KafkaConsumer
    within : sequence of Range
        Of one topic.
    since, until : float or None
        The record's own time in seconds since 1970 UTC.
    """

    consumer: KafkaConsumer
    within: Sequence[Range]
    since: float | None = None
    until: float | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def between_times(
        cls, kafka: KafkaSettings, consumer: KafkaConsumer, topic: Topic, since: float | None, until: float | None
    ) -> TopicPart:
        """Return the records of a time, up to now. Raises what `ranges` raises."""
        return cls(consumer, ranges(consumer, kafka.topics.name(topic), since, until), since, until)

    @classmethod
    def between_offsets(
        cls, kafka: KafkaSettings, consumer: KafkaConsumer, topic: Topic, partition: int, start: int, end: int | None
    ) -> TopicPart:
        """Return the records of one partition from an offset to before another, up to now.

        Raises
        ------
        LookupError
            There is no such partition.
        """
        for part in ranges(consumer, kafka.topics.name(topic)):
            if part.partition == partition:
                last = part.end if end is None else min(end, part.end)
                return cls(consumer, [Range(part.topic, partition, max(start, part.start), last)])
        raise LookupError(f"{kafka.topics.name(topic)} has no partition {partition}")

    @property
    def most(self) -> int:
        """Records between the offsets."""
        return sum(len(part) for part in self.within)

    def candidates(self) -> Iterator[Candidate]:
        """Yield the records."""
        self.skipped.clear()
        parts = {part.partition: part for part in self.within}
        # What is sent, by offset; nothing has the hash 0. A million records are eight megabytes.
        hashes = {number: array("q", bytes(8 * len(part))) for number, part in parts.items()}
        for record in records(self.consumer, self.within):
            if not self._of_that_time(record.timestamp / 1000):
                continue
            place, headers = place_of(record), headers_of(record)
            own = hash(record.value) or 1
            hashes[place.partition][place.offset - parts[place.partition].start] = own
            original = original_of(headers)
            if original is not None and original.topic == place.topic and original.partition in parts:
                part = parts[original.partition]
                if original.offset in part and hashes[original.partition][original.offset - part.start] == own:
                    self.skipped[COPY] += 1
                    continue
            if record.value is not None:
                yield Candidate(place, record.key, record.value, headers)

    def _of_that_time(self, seconds: float) -> bool:
        return (self.since is None or seconds >= self.since) and (self.until is None or seconds < self.until)
