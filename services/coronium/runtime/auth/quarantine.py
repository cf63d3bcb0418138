"""Who did wrong too often is refused for a while."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

_MOST_REMEMBERED = 10_000


@dataclass
class _Record:
    faults: int
    begun: float
    until: float = 0.0


class Quarantine:
    """Counts faults by address or by name, in bounded memory.

    Parameters
    ----------
    kind : str
        What is counted, for the log: `address` or `principal`.
    faults : int
        So many within `window` seconds begin a quarantine; 0: never.
    window, seconds : float
        Time over which faults are counted, and time that a quarantine lasts.
    most : int
        How many are remembered; the one that did nothing wrong for longest is forgotten first.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        kind: str,
        faults: int,
        window: float,
        seconds: float,
        most: int = _MOST_REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = kind
        self._faults = faults
        self._window = window
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def remaining(self, who: str) -> float:
        """Return the seconds that somebody is still refused; 0 where nobody is."""
        record = self._records.get(who)
        return 0.0 if record is None else max(0.0, record.until - self._clock())

    def note(self, who: str) -> None:
        """Count one fault of somebody."""
        if not self._faults:
            return
        now = self._clock()
        record = self._records.get(who)
        if record is not None and record.until > now:
            return
        if record is None or now - record.begun > self._window:
            record = self._records[who] = _Record(0, now)
        record.faults += 1
        self._records.move_to_end(who)
        if len(self._records) > self._most:
            self._records.popitem(last=False)
        if record.faults >= self._faults:
            self._records[who] = _Record(0, now, now + self._seconds)
            log.warning(
                "quarantined for too many faults",
                extra={"kind": self._kind, "who": who, "faults": record.faults, "seconds": self._seconds},
            )

    def __len__(self) -> int:
        """Return how many are refused now."""
        now = self._clock()
        return sum(record.until > now for record in self._records.values())
