"""What is set aside, and when setting aside must stop.

Bad input is set aside at any rate: it is counted and alerted, and the stream goes on. Our own failures are set
aside as well, one by one, but a deploy that fails on everything must not empty the stream into the dead
letters: above a rate of them the stage stops and nothing more is committed.
"""

import time
from collections import deque
from collections.abc import Callable

from coronium.contract.limits import MAX_DEAD_LETTER_BYTES
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
    letter = DeadLetter(
        stage=stage.value,
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARACTERS],
        source_topic=incoming.topic,
        source_partition=incoming.partition,
        source_offset=incoming.offset,
        key=incoming.key,
        value=incoming.value,
        headers=dict(incoming.headers),
        attempts=attempts,
    )
    letter.failed_at.GetCurrentTime()
    value = letter.SerializeToString()
    if len(value) + len(incoming.key) > MAX_DEAD_LETTER_BYTES:
        # Only headers can make it so: the topics of records are smaller by a third.
        letter.headers.clear()
        value = letter.SerializeToString()
    return Outgoing(DEAD_LETTERS[stage], incoming.key, value)


class FailureRate:
    """Watches the share of our own failures among all records over a sliding window.

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
        self._seen: deque[tuple[float, bool]] = deque()
        self._failures = 0

    def count(self, failed: bool) -> None:
        """Count one record."""
        self._seen.append((self._clock(), failed))
        self._failures += failed

    @property
    def exceeded(self) -> bool:
        """Whether the stage must stop before it sets another record aside."""
        oldest = self._clock() - self._settings.failure_window_seconds
        while self._seen and self._seen[0][0] < oldest:
            self._failures -= self._seen.popleft()[1]
        return len(self._seen) >= self._settings.failure_minimum and self._failures > self._settings.failure_rate * len(
            self._seen
        )

    def reset(self) -> None:
        """Begin anew, when an operator resumes the stage."""
        self._seen.clear()
        self._failures = 0
