"""A bounded memory of what was ingested lately."""

from __future__ import annotations

from collections import OrderedDict


class RecentFingerprints:
    """The fingerprints of the last `capacity` acknowledged observations, least recently met first out.

    Dropping a duplicate saves a fit and nothing else: the store's unique key keeps results single. So the
    memory may be lost at any time, is not shared between replicas, and a replay goes past it.

    Parameters
    ----------
    capacity : int
        Most fingerprints kept; 0 keeps none.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._fingerprints: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, fingerprint: str) -> bool:
        if fingerprint not in self._fingerprints:
            return False
        self._fingerprints.move_to_end(fingerprint)
        return True

    def __len__(self) -> int:
        return len(self._fingerprints)

    def add(self, fingerprint: str) -> None:
        """Remember a fingerprint; to be called only after its observation was acknowledged by the broker."""
        self._fingerprints[fingerprint] = None
        self._fingerprints.move_to_end(fingerprint)
        while len(self._fingerprints) > self._capacity:
            self._fingerprints.popitem(last=False)
