"""How the settling of a record, or of a whole batch, may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coronium.runtime.stage import Incoming, Outgoing
from coronium.runtime.workers import Cause
from coronium.v1.dead_letter_pb2 import (
    DEAD_LETTER_REASON_CRASH,
    DEAD_LETTER_REASON_DEADLINE,
    DEAD_LETTER_REASON_INTERNAL,
    DeadLetterReason,
)

REASON_OF: dict[Cause, "DeadLetterReason"] = {
    "crash": DEAD_LETTER_REASON_CRASH,
    "memory": DEAD_LETTER_REASON_CRASH,
    "deadline": DEAD_LETTER_REASON_DEADLINE,
    "internal": DEAD_LETTER_REASON_INTERNAL,
}
"""What a record is set aside for when its work ended so too often."""


class Abandoned(Exception):
    """A batch is given up: its partitions have gone, or go before it can be finished, or no worker can be had."""


class TooManyFailures(Exception):
    """Our own failures passed the rate; nothing more may be set aside."""


@dataclass(frozen=True)
class Done:
    """A record whose work is done, and what follows from it."""

    incoming: Incoming
    job: Any
    result: Any
    outgoing: Sequence[Outgoing]


@dataclass(frozen=True)
class SetAside:
    """A record that becomes a dead letter."""

    incoming: Incoming
    reason: "DeadLetterReason"
    detail: str
    attempts: int = 1


Outcome = Done | SetAside
