"""A fit answers in finite numbers or not at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


class NoFiniteAnswer(ValueError):
    """The numbers of a spectrum lead a fit out of the numbers there are; the message is one sentence."""


def require_finite(*values: ArrayLike) -> None:
    """Refuse numbers that are not.

    Raises
    ------
    NoFiniteAnswer
        One of them is infinite or not a number.
    """
    if not all(np.isfinite(value).all() for value in values):
        raise NoFiniteAnswer(
            "The fit of the spectrum finds no finite numbers: check the units of its counts, area_exposure, "
            "background and exposure times."
        )
