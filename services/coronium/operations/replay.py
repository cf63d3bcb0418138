"""Send records again to the topics they came from, as copies that say so in their headers.

A copy has the original's key, value, partition, trace and headers, and beside them the id of the replay, which lets
it past ingestion's memory of duplicates, and where the original stood, which lets the store close its dead letter.
Results are idempotent: the same models make the same result ids of a copy, other models make others, and supersede.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import AuthorizationError, KafkaError

from coronium.contract.headers import PRODUCED_AT_HEADER, REPLAY_ID_HEADER, REPLAY_OF_HEADER
from coronium.contract.limits import MAX_PRODUCE_BYTES, MEBIBYTE
from coronium.contract.topics import REPLAYS
from coronium.operations.replay_letters import note_key
from coronium.operations.replay_sources import Candidate, Source
from coronium.operations.topic_ranges import ranges, records
from coronium.runtime.admin import explained
from coronium.runtime.brokers import connection_options
from coronium.runtime.errors import Unreachable
from coronium.runtime.settings import KafkaSettings

FIRST = 5
"""Records that a summary shows."""

_TIMEOUT_SECONDS = 30.0
# Most records, and most bytes, that wait for the broker's acknowledgement at once.
_MOST_WAITING = 256
_MOST_BYTES_WAITING = 64 * MEBIBYTE


@dataclass
class Summary:
    """What was sent, or would be.

    Attributes
    ----------
    records, size : int
        How many, and their bytes.
    groups : Counter of (topic, stage, reason)
        How many of each; stage and reason are empty for a part of a topic.
    first : list of Candidate
        At most `FIRST`.
    """

    records: int = 0
    size: int = 0
    groups: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    first: list[Candidate] = field(default_factory=list)

    def count(self, candidate: Candidate) -> None:
        """Count one record."""
        self.records += 1
        self.size += len(candidate.value)
        self.groups[candidate.place.topic, candidate.stage, candidate.reason] += 1
        if len(self.first) < FIRST:
            self.first.append(candidate)


def new_replay_id() -> str:
    """Return a name for a replay that begins now."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def replayed_letters(kafka: KafkaSettings, consumer: KafkaConsumer) -> set[bytes]:
    """Return the keys of the dead letters that were replayed before.

    Raises
    ------
    StartError, Unreachable, kafka.errors.KafkaError
        As `coronium.operations.topic_ranges`.
    """
    return {record.key for record in records(consumer, ranges(consumer, kafka.topics.name(REPLAYS)))}


def survey(source: Source) -> Summary:
    """Return what a replay would send, and send nothing."""
    summary = Summary()
    for candidate in source.candidates():
        summary.count(candidate)
    return summary


def send(
    kafka: KafkaSettings,
    source: Source,
    replay_id: str,
    rate: float | None = None,
    on_sent: Callable[[], object] = lambda: None,
) -> Summary:
    """Send everything again.

    Parameters
    ----------
    kafka : KafkaSettings
    source : Source
    replay_id : str
    rate : float, optional
        Most records a second.
    on_sent : callable
        Called after each acknowledged record.

    Returns
    -------
    Summary
        Of what the broker has acknowledged.

    Raises
    ------
    Refused
        We may not write to a topic.
    Unreachable
        The broker did not acknowledge a record. Those before it are sent, and their dead letters noted as replayed.
    """
    sender = _Sender(kafka, replay_id, on_sent)
    begun = time.monotonic()
    try:
        for number, candidate in enumerate(source.candidates()):
            if rate is not None:
                time.sleep(max(begun + number / rate - time.monotonic(), 0.0))
            sender.send(candidate)
        sender.finish()
    except AuthorizationError as error:
        raise explained(kafka, error) from None
    except KafkaError as error:
        raise Unreachable(
            f"Kafka at {kafka.bootstrap_servers} did not take a record ({str(error).rstrip('.')}); "
            f"{sender.summary.records} were sent before it. Look at the broker, then run the same command again."
        ) from error
    finally:
        sender.close()
    return sender.summary


class _Sender:
    """Produces copies and, once they are acknowledged, the notes that their dead letters were replayed."""

    def __init__(self, kafka: KafkaSettings, replay_id: str, on_sent: Callable[[], object]) -> None:
        self._notes = kafka.topics.name(REPLAYS)
        self._replay_id = replay_id
        self._on_sent = on_sent
        self._waiting: deque[tuple[Candidate, Any]] = deque()
        self._bytes = 0
        self._pending_notes: list[Any] = []
        self.summary = Summary()
        self._producer = KafkaProducer(
            **connection_options(kafka),
            acks="all",
            # Not every broker that speaks the protocol knows idempotent producers, and a copy twice is one result.
            enable_idempotence=False,
            allow_auto_create_topics=False,
            max_request_size=MAX_PRODUCE_BYTES,
            max_block_ms=round(_TIMEOUT_SECONDS * 1000),
            bootstrap_timeout_ms=round(_TIMEOUT_SECONDS * 1000),
            delivery_timeout_ms=round(_TIMEOUT_SECONDS * 1000),
            request_timeout_ms=round(_TIMEOUT_SECONDS * 1000),
        )

    def send(self, candidate: Candidate) -> None:
        """Produce one copy; waits where too many are on their way."""
        headers = {
            **candidate.headers,
            PRODUCED_AT_HEADER: f"{time.time():.6f}".encode(),
            REPLAY_ID_HEADER: self._replay_id.encode(),
            REPLAY_OF_HEADER: str(candidate.place).encode(),
        }
        future = self._producer.send(
            candidate.place.topic,
            candidate.value,
            key=candidate.key,
            partition=candidate.place.partition,
            headers=list(headers.items()),
        )
        self._waiting.append((candidate, future))
        self._bytes += len(candidate.value)
        while len(self._waiting) > _MOST_WAITING or self._bytes > _MOST_BYTES_WAITING:
            self._acknowledged()

    def finish(self) -> None:
        """Return when everything is acknowledged."""
        while self._waiting:
            self._acknowledged()
        for note in self._pending_notes:
            note.get(_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Let go of the connection; notes that are on their way still go."""
        self._producer.close(_TIMEOUT_SECONDS)

    def _acknowledged(self) -> None:
        candidate, future = self._waiting.popleft()
        self._bytes -= len(candidate.value)
        future.get(_TIMEOUT_SECONDS)
        if candidate.stage:
            note = StringValue(value=self._replay_id).SerializeToString()
            key = note_key(candidate.stage, candidate.place, candidate.value)
            self._pending_notes.append(self._producer.send(self._notes, note, key=key))
        self.summary.count(candidate)
        self._on_sent()
