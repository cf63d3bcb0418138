"""How much one principal may ask at once and per second."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from coronium.runtime.auth.refusals import exhausted

BUSY_SECONDS = 1.0
"""When somebody who has too many calls open may try again: we do not know when one of them ends."""


class TokenBucket:
    """Lets calls through at a rate, and as many at once as come in one second.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._level: float | None = None
        self._filled = clock()

    def take(self, rate: float) -> float:
        """Take one call and return 0, or return the seconds until there will be one.

        Parameters
        ----------
        rate : float
            Calls per second; may change from one call to the next.
        """
        now = self._clock()
        most = max(1.0, rate)
        level = most if self._level is None else min(most, self._level + (now - self._filled) * rate)
        self._filled = now
        self._level = level - 1.0 if level >= 1.0 else level
        return 0.0 if level >= 1.0 else (1.0 - level) / rate


@dataclass
class _Use:
    bucket: TokenBucket = field(default_factory=TokenBucket)
    open: int = 0


class Strangers:
    """Counts the open calls of those who need no token, by address.

    Parameters
    ----------
    most_of_one, most : int
        Open calls of one address, and of all together: the rest of the server's room is for principals.
    """

    def __init__(self, most_of_one: int, most: int) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def holding(self, address: str) -> Iterator[None]:
        """Hold one call of an address open. Raises `Refused` where too many are open."""
        if self._open[address] >= self._most_of_one or self._open.total() >= self._most:
            raise exhausted("concurrency", "too many calls without a token are open", BUSY_SECONDS)
        self._open[address] += 1
        try:
            yield
        finally:
            self._open[address] -= 1
            # Addresses without an open call are not remembered.
            self._open += Counter()


class Limits:
    """Counts what each principal does. It keeps one entry per name that ever stood in the file."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def take(self, name: str, rate: float) -> float:
        """Take one call of a principal's rate; returns as `TokenBucket.take` does."""
        return self._use(name).bucket.take(rate)

    @contextmanager
    def holding(self, name: str, rate: float, most: int) -> Iterator[None]:
        """Hold one call of a principal open.

        Raises
        ------
        Refused
            The rate is used up, or too many calls are open.
        """
        use = self._use(name)
        if use.open >= most:
            raise exhausted("concurrency", f"{name} has {most} calls open, and may have no more", BUSY_SECONDS)
        if wait := use.bucket.take(rate):
            raise exhausted("rate", f"{name} may make {rate:g} calls per second", wait)
        use.open += 1
        try:
            yield
        finally:
            use.open -= 1

    def _use(self, name: str) -> _Use:
        return self._uses.setdefault(name, _Use())
