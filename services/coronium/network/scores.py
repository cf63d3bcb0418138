"""How good predictions are, on spectra whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coronium.physics.spectrum import FloatArray

IDENTIFIED = 3.0
"""A line counts as present when its expected S/N reaches this."""


def cell_of(value: FloatArray, nodes: FloatArray) -> np.ndarray:
    """Index of the cell that holds each value; nodes are the centres of equal cells."""
    step = nodes[1] - nodes[0]
    return np.clip(np.rint((np.asarray(value) - nodes[0]) / step).astype(int), 0, len(nodes) - 1)


def log_score_gain(probability: FloatArray, row: np.ndarray, column: np.ndarray) -> FloatArray:
    """ln of posterior over prior at the truth, nats, (n,): the prior is uniform over the grid.

    Parameters
    ----------
    probability : (n, T, N)
    row, column : (n,) int
        Cell of the truth.
    """
    at_truth = probability[np.arange(len(row)), row, column]
    return np.log(np.maximum(at_truth, 1e-30)) + np.log(probability[0].size)


def average_precision(probability: FloatArray, present: np.ndarray) -> float:
    """Precision averaged over the present lines in the order of their probability; nan when none is present.

    Parameters
    ----------
    probability : (k,)
    present : (k,) bool
    """
    if not present.any():
        return float("nan")
    ranked = present[np.argsort(-probability, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


def bootstrap_lower(
    statistic: Callable[[np.ndarray], float],
    count: int,
    level: float = 0.99,
    draws: int = 400,
    seed: int = 0,
) -> float:
    """Lower bound of a statistic over spectra by the percentile bootstrap.

    Parameters
    ----------
    statistic : callable
        Of the indices (count,) of a resampled set of spectra.
    count : int
    level : float
        One-sided.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(0, count, count)) for _ in range(draws)]
    return float(np.nanquantile(values, 1.0 - level))
