"""Where the labels of lines stand so that none covers another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def place_labels(
    wanted: ArrayLike, importance: ArrayLike, spacing: float, low: float, high: float, most_shift: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Place labels in a row as near to their lines as they fit, and leave out the least important of a crowd.

    The places of those that stay have the least sum of squared shifts among all that keep order and distance.

    Parameters
    ----------
    wanted : (N,)
        Positions of the lines along the axis.
    importance : (N,)
        Where a crowd does not fit, its least important label goes.
    spacing : float
        Least distance of two labels.
    low, high : float
        Ends of the row.
    most_shift : float
        A label further than this from its line would mislead.

    Returns
    -------
    kept : (K,) int
        Indices of the labels that stay, by position.
    placed : (K,) float
        Their positions: rising, at least `spacing` apart, within [low, high], shifted by at most `most_shift`.
    """
    wanted, importance = np.asarray(wanted, float), np.asarray(importance, float)
    inside = np.flatnonzero((wanted >= low) & (wanted <= high))
    kept = inside[np.argsort(wanted[inside], kind="stable")]
    while len(kept):
        placed = spread(wanted[kept], spacing, low, high)
        shift = np.abs(placed - wanted[kept])
        worst = int(np.argmax(shift))
        if placed[-1] <= high * (1 + 1e-12) + 1e-9 and shift[worst] <= most_shift:
            return kept, placed
        crowd = _crowd(placed, worst, spacing)
        kept = np.delete(kept, crowd[np.argmin(importance[kept[crowd]])])
    return kept, np.empty(0)


def spread(wanted: NDArray[np.float64], spacing: float, low: float, high: float) -> NDArray[np.float64]:
    """Return the positions nearest to those wanted, in least squares, that keep a least distance.

    Isotonic regression by pooling adjacent violators.

    Parameters
    ----------
    wanted : (N,)
        Rising.
    spacing : float
    low, high : float
        Ends; where not all fit, those at the upper end lie beyond it.
    """
    offset = spacing * np.arange(len(wanted))
    means: list[float] = []
    sizes: list[int] = []
    for value in wanted - offset:
        means.append(float(value))
        sizes.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            size = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size]
            sizes[-2:] = [size]
    # Clipping the regression to bounds that are the same for all gives the bounded regression.
    return np.clip(np.repeat(means, sizes), low, max(low, high - offset[-1])) + offset


def _crowd(placed: NDArray[np.float64], member: int, spacing: float) -> NDArray[np.intp]:
    """Indices of the labels that touch each other in one row with `member`."""
    gaps = np.diff(placed) > spacing * (1 + 1e-6)
    group = np.concatenate([[0], np.cumsum(gaps)])
    return np.flatnonzero(group == group[member])
