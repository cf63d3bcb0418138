"""Which record of a partition comes next.

Around a rebalance faust may skip records, or deliver some that were on their way before it sought back. A
commit behind such a gap would lose what was skipped, so the loop takes records strictly in order. Not every gap
is a fault: transactions and retention leave offsets without records. To tell, the partition is read again from
where it should go on, and a gap believed when it is there again.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Partition = tuple[str, int]

INSIST_SECONDS = 2.0
"""How long a gap may stay unconfirmed before the partition is read again once more."""


@dataclass(frozen=True)
class Start:
    """Where a partition goes on.

    Parameters
    ----------
    offset : int
    behind : bool
        Whether that is before what the group has committed.
    lost : int
        Records before it that the stage's own store lacks and the log no longer holds.
    cut_short : bool
        Whether the log ends before what the group has committed.
    """

    offset: int
    behind: bool = False
    lost: int = 0
    cut_short: bool = False


def start(committed: int | None, earliest: int, end: int, stored: int | None, doubted: bool = False) -> Start:
    """Say where a partition goes on, from what the group, the log and the stage's own store know.

    The group's commit is the rule. A store that is behind it was restored, or made anew, and goes back to where it
    stands; one that is ahead of it gets some records twice, which does not hurt.

    A log that ends before the commit has lost records, and nobody knows which of those that it has are new: all are
    read again. What the broker says of the end is believed where what was read says so too: some answer too low.

    Parameters
    ----------
    committed : int or None
        The group's next offset.
    earliest, end : int
        The log's first offset and the one after its last.
    stored : int or None
        The store's next offset; None where the stage keeps none.
    doubted : bool
        Whether the log seemed to end before the commit when it was read.
    """
    group = earliest if committed is None else committed
    if doubted and group > end:
        return Start(earliest, True, max(earliest - stored, 0) if stored is not None else 0, True)
    if stored is None:
        return Start(group)
    if stored > max(end, group):
        # The topic was made anew since: these are positions in another log.
        stored = 0
    offset = min(group, max(stored, earliest))
    return Start(offset, offset < group, max(earliest - stored, 0))


@dataclass
class _Gap:
    offset: int
    since: float


class Positions:
    """The next offset of each partition, between two rebalances.

    Parameters
    ----------
    expected : mapping of (topic, partition) to int
        Where each partition goes on; records of others are dropped.
    clock : callable, optional
        Seconds; monotonic.
    """

    def __init__(
        self, expected: Mapping[Partition, int] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.expected: dict[Partition, int] = dict(expected or {})
        self._clock = clock
        self._gaps: dict[Partition, _Gap] = {}

    def take(self, partition: Partition, offset: int) -> Literal["take", "drop", "read again"]:
        """Say what to do with a record that has arrived.

        Returns
        -------
        str
            ``take``: it is the next, and the position moves behind it. ``drop``: it was seen, or is not its
            turn. ``read again``: drop it and read the partition from ``expected``.
        """
        expected = self.expected.get(partition)
        if expected is None or offset < expected:
            return "drop"
        if offset > expected:
            gap = self._gaps.get(partition)
            if gap is None or offset < gap.offset:
                self._gaps[partition] = _Gap(offset, self._clock())
                return "read again"
            if offset > gap.offset:
                return "drop"
        self._gaps.pop(partition, None)
        self.expected[partition] = offset + 1
        return "take"

    def go_back(self, partition: Partition, offset: int) -> None:
        """Expect an earlier offset; `overdue` names the partition until a record of it has come."""
        self.expected[partition] = offset
        self._gaps[partition] = _Gap(sys.maxsize, self._clock())

    def overdue(self) -> list[Partition]:
        """Return the partitions to read again because nothing has confirmed their gap for a while."""
        now = self._clock()
        found = [tp for tp, gap in self._gaps.items() if now - gap.since > INSIST_SECONDS]
        for partition in found:
            self._gaps[partition].since = now
        return found
