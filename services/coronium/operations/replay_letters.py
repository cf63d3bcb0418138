"""Dead letters as the source of a replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from kafka import KafkaConsumer

from coronium.contract.flow import SOURCES
from coronium.contract.headers import TRACE_ID_HEADER, Place, digest
from coronium.contract.topics import DEAD_LETTERS, StageName
from coronium.operations.replay_sources import Candidate, headers_of, original_of, place_of
from coronium.operations.topic_ranges import ranges, records
from coronium.runtime.dead_letters import reason_label
from coronium.runtime.settings import KafkaSettings
from coronium.v1.dead_letter_pb2 import DeadLetter

REPLAYED, DIED_AGAIN, FOREIGN, UNREADABLE = (
    "replayed before",
    "set aside again since, as another dead letter",
    "from a topic that no replay writes to",
    "not a dead letter",
)
"""Why a dead letter that was asked for is passed over."""


def note_key(stage: str, place: Place, value: bytes) -> bytes:
    """Return the key under which the replay of a dead letter is noted.

    The record's bytes are part of it: where a log has lost its end, another record comes to stand in the same place.
    """
    return f"{stage}/{place}/{digest(value)}".encode()


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters.

    Parameters
    ----------
    stages : tuple of StageName
    reasons : frozenset of str
        As metrics spell them; empty for all.
    since, until : float or None
        When they were set aside, in seconds since 1970 UTC.
    again : bool
        Also those that were replayed before.
    """

    stages: tuple[StageName, ...] = tuple(StageName)
    reasons: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None
    again: bool = False

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is asked for; its stage is known from its topic."""
        failed = letter.failed_at.seconds + letter.failed_at.nanos / 1e9
        return (
            (not self.reasons or reason_label(letter.reason) in self.reasons)
            and (self.since is None or failed >= self.since)
            and (self.until is None or failed < self.until)
        )


class DeadLetters:
    """The dead letters that a filter takes, each once; read through when this is made.

    A letter that was replayed is passed over the next time. When its copy is set aside again, that is another letter,
    and the first one is passed over for it.

    Parameters
    ----------
    kafka : KafkaSettings
    consumer : KafkaConsumer
    wanted : LetterFilter
    noted : set of bytes
        Keys of the letters that were replayed before.

    Raises
    ------
    StartError, Unreachable, kafka.errors.KafkaError
        As `coronium.operations.topic_ranges`.
    """

    def __init__(self, kafka: KafkaSettings, consumer: KafkaConsumer, wanted: LetterFilter, noted: set[bytes]) -> None:
        self._consumer = consumer
        sources = {topic for topics in SOURCES.values() for topic in topics} - set(DEAD_LETTERS.values())
        self._writable = {kafka.topics.name(topic) for topic in sources}
        self.skipped: Counter[str] = Counter()
        topics = [kafka.topics.name(DEAD_LETTERS[stage]) for stage in wanted.stages]
        # A letter is written at once when its record is set aside; what came of it stands behind it.
        self._ranges = [part for topic in topics for part in ranges(consumer, topic, wanted.since)]
        self._chosen = self._choose(wanted, noted)

    @property
    def most(self) -> int:
        """How many there are."""
        return len(self._chosen)

    def candidates(self) -> Iterator[Candidate]:
        """Yield the records inside the letters."""
        chosen = set(self._chosen.values())
        for record in records(self._consumer, self._ranges if chosen else []):
            if place_of(record) in chosen:
                yield _of_letter(DeadLetter.FromString(record.value), record)

    def _choose(self, wanted: LetterFilter, noted: set[bytes]) -> dict[bytes, Place]:
        """Return where the letters stand that are to be replayed, by the keys of their notes."""
        chosen: dict[bytes, Place] = {}
        died_again: set[bytes] = set()
        for record in records(self._consumer, self._ranges):
            try:
                letter = DeadLetter.FromString(record.value or b"")
            except DecodeError:
                self.skipped[UNREADABLE] += 1
                continue
            first = original_of(letter.headers)
            if first is not None:
                # Of the same bytes: a publisher's headers may name any record.
                died_again.add(note_key(letter.stage, first, letter.value))
            if not wanted.takes(letter):
                continue
            if letter.source_topic not in self._writable:
                self.skipped[FOREIGN] += 1
            else:
                # The same record set aside twice is one dead letter.
                source = Place(letter.source_topic, letter.source_partition, letter.source_offset)
                chosen[note_key(letter.stage, source, letter.value)] = place_of(record)
        for key in list(chosen):
            if key in died_again:
                self.skipped[DIED_AGAIN] += 1
            elif key in noted and not wanted.again:
                self.skipped[REPLAYED] += 1
            else:
                continue
            del chosen[key]
        return chosen


def _of_letter(letter: DeadLetter, record: Any) -> Candidate:
    headers = dict(letter.headers)
    trace = headers_of(record).get(TRACE_ID_HEADER)
    if trace is not None:
        headers.setdefault(TRACE_ID_HEADER, trace)
    return Candidate(
        place=Place(letter.source_topic, letter.source_partition, letter.source_offset),
        key=letter.key or None,
        value=letter.value,
        headers=headers,
        stage=letter.stage,
        reason=reason_label(letter.reason),
        detail=letter.detail,
    )
