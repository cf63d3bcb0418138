"""What a replay is made of: candidates, from a source that never reads what the replay sends.

A source fixes the ends of what it reads when it is made, and the copies that a replay sends stand behind them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from coronium.contract.headers import REPLAY_OF_HEADER, Place


@dataclass(frozen=True)
class Candidate:
    """One record to be sent again, to where it stood.

    Parameters
    ----------
    place : Place
        Where the original stood.
    key, value : bytes or None
    headers : dict of str to bytes
        As the original had them, and its trace where that began with the stage that set it aside.
    stage, reason, detail : str
        Of its dead letter; empty where it has none.
    """

    place: Place
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    stage: str = ""
    reason: str = ""
    detail: str = ""


class Source(Protocol):
    """Something to replay."""

    @property
    def most(self) -> int:
        """Most records it can give."""
        ...

    @property
    def skipped(self) -> Counter[str]:
        """How many were passed over, by the reason, as far as it was read."""
        ...

    def candidates(self) -> Iterator[Candidate]:
        """Yield what is to be sent; may be called again and yields the same."""
        ...


def place_of(record: Any) -> Place:
    """Return where a record stands, as kafka-python gives it."""
    return Place(record.topic, record.partition, record.offset)


def headers_of(record: Any) -> dict[str, bytes]:
    """Return the headers of a record, as kafka-python gives it."""
    return {name: value or b"" for name, value in record.headers or ()}


def original_of(headers: Mapping[str, bytes]) -> Place | None:
    """Return where the record stood that these headers are a copy's of; None where they are no copy's."""
    return Place.parse(headers.get(REPLAY_OF_HEADER, b"").decode("ascii", "ignore"))
