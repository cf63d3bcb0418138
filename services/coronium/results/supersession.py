"""Which result replaces which.

Supersession is a strict partial order over results of one kind and one target, so what is current depends on
the set of results alone, never on the order in which they arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Standing:
    """What decides between two results of one kind and target.

    Parameters
    ----------
    result_id : str
    fingerprints : frozenset of str
        The observations fitted: one for a single result, several for a joint one.
    complete : bool
        Whether this is the full answer; a triage result never replaces one.
    fitted_at : datetime
    """

    result_id: str
    fingerprints: frozenset[str]
    complete: bool
    fitted_at: datetime

    @property
    def rank(self) -> tuple[int, bool, datetime, str]:
        """Order in which the best of several replacements is chosen."""
        return (len(self.fingerprints), self.complete, self.fitted_at, self.result_id)


def supersedes(newer: Standing, older: Standing) -> bool:
    """Return whether `newer` replaces `older`.

    It does when it was fitted to a proper superset of the observations, or to the same observations by a
    fuller or a later fit, and is not triage where the other is the full answer.
    """
    if older.complete and not newer.complete:
        return False
    if newer.fingerprints == older.fingerprints:
        return newer.rank > older.rank
    return newer.fingerprints > older.fingerprints
