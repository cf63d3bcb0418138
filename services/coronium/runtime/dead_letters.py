"""What is set aside, and when setting aside must stop.

Bad input is set aside at any rate: it is counted and alerted, and the stream goes on. Our own failures are set
aside as well, one by one, but a deploy that fails on everything must not empty the stream into the dead
letters: above a rate of them the stage stops and nothing more is committed.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coronium.contract.limits import MAX_DEAD_LETTER_BYTES, MAX_HEADER_BYTES, MAX_KEY_BYTES, MEBIBYTE
from coronium.contract.topics import DEAD_LETTERS, StageName
from coronium.runtime.settings import LoopSettings
from coronium.runtime.stage import Incoming, Outgoing
from coronium.v1.dead_letter_pb2 import (
    DEAD_LETTER_REASON_CRASH,
    DEAD_LETTER_REASON_DEADLINE,
    DEAD_LETTER_REASON_INTERNAL,
    DeadLetter,
    DeadLetterReason,
)

OUR_FAILURES = frozenset({DEAD_LETTER_REASON_CRASH, DEAD_LETTER_REASON_DEADLINE, DEAD_LETTER_REASON_INTERNAL})

MAX_DETAIL_CHARACTERS = 2000

# For the key and the value of a record; the rest is for its headers and its story.
_ROOM = MAX_DEAD_LETTER_BYTES - MEBIBYTE


def reason_label(reason: "DeadLetterReason") -> str:
    """Return the word for a reason in metrics and logs, for example ``malformed``."""
    return DeadLetterReason.Name(reason).removeprefix("DEAD_LETTER_REASON_").lower()


def dead_letter(
    stage: StageName, incoming: Incoming, reason: "DeadLetterReason", detail: str, attempts: int
) -> Outgoing:
    """Return the dead letter of a record: its bytes as they came, where it stood, and why.

    Parameters
    ----------
    stage : StageName
        Who sets it aside.
    incoming : Incoming
        The record.
    reason : DeadLetterReason
        Class of the fault.
    detail : str
        One sentence a person can act on.
    attempts : int
        How often the record was worked on.
    """
    detail = detail[:MAX_DETAIL_CHARACTERS]
    key = incoming.key[:_ROOM]
    value = incoming.value[: _ROOM - len(key)]
    if len(key) + len(value) < len(incoming.key) + len(incoming.value):
        # Only what comes from a topic of dead letters can be as large as one.
        detail += f" Of key and value, {len(incoming.key) + len(incoming.value)} bytes, the first {_ROOM} are kept."
    letter = DeadLetter(
        stage=stage.value,
        reason=reason,
        detail=detail,
        source_topic=incoming.topic,
        source_partition=incoming.partition,
        source_offset=incoming.offset,
        key=key,
        value=value,
        headers=_short(incoming.headers),
        attempts=attempts,
    )
    letter.failed_at.GetCurrentTime()
    # The whole key stands inside: a second copy of a long one would not fit beside it.
    return Outgoing(DEAD_LETTERS[stage], incoming.key[:MAX_KEY_BYTES], letter.SerializeToString())


def _short(headers: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return headers as far as `MAX_HEADER_BYTES` allow; a record's value leaves no more room in a dead letter."""
    kept: dict[str, bytes] = {}
    room = MAX_HEADER_BYTES
    for name, value in headers.items():
        text = name.encode(errors="replace").decode()
        room -= len(text.encode()) + len(value)
        if room < 0:
            break
        kept[text] = value
    return kept


class FailureRate:
    """Watches the share of our own failures among all records over a sliding window, to the second.

    Parameters
    ----------
    settings : LoopSettings
        Rate, minimum and window.
    clock : callable, optional
        Seconds; monotonic.
    """

    def __init__(self, settings: LoopSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        # One entry a second at most: what is kept does not grow with the stream.
        self._kept: deque[_Second] = deque()

    def count(self, failed: bool) -> None:
        """Count one record."""
        self._forget()
        now = math.floor(self._clock())
        if not self._kept or self._kept[-1].at < now:
            self._kept.append(_Second(now))
        self._kept[-1].records += 1
        self._kept[-1].failures += failed

    @property
    def exceeded(self) -> bool:
        """Whether the stage must stop before it sets another record aside."""
        self._forget()
        records = sum(second.records for second in self._kept)
        failures = sum(second.failures for second in self._kept)
        return records >= self._settings.failure_minimum and failures > self._settings.failure_rate * records

    def reset(self) -> None:
        """Begin anew, when an operator resumes the stage."""
        self._kept.clear()

    def _forget(self) -> None:
        oldest = self._clock() - self._settings.failure_window_seconds
        while self._kept and self._kept[0].at < oldest:
            self._kept.popleft()


@dataclass
class _Second:
    at: int
    records: int = 0
    failures: int = 0
