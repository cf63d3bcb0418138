"""Where to start climbing: a few well separated peaks of a map over temperature and density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEPARATION = 0.15
"""Two starting points differ by at least this in log T, or by four times this in log n."""
_SCAN = (17, 6)
SCAN_POINTS = _SCAN[0] * _SCAN[1]


@dataclass(frozen=True)
class StartMap:
    """A network's belief over temperature and density: where to start.

    Attributes
    ----------
    log_temperature, log_density : (nT,), (nN,)
    probability : (nT, nN)
    """

    log_temperature: NDArray[np.floating]
    log_density: NDArray[np.floating]
    probability: NDArray[np.floating]


def separated_peaks(
    log_probability: NDArray[np.floating],
    log_temperature: NDArray[np.floating],
    log_density: NDArray[np.floating],
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the `count` most probable, separated points of a map: log T and log n, (count,) each.

    Parameters
    ----------
    log_probability : (nT, nN)
    log_temperature, log_density : (nT,), (nN,)
    count : int
        Where the map has fewer separated points, the best one is repeated.
    """
    t, n = np.meshgrid(log_temperature, log_density, indexing="ij")
    left = np.array(log_probability, float)
    points: list[tuple[float, float]] = []
    while len(points) < count and np.isfinite(left).any():
        best = np.unravel_index(np.nanargmax(left), left.shape)
        points.append((float(t[best]), float(n[best])))
        near = (np.abs(t - t[best]) < SEPARATION) & (np.abs(n - n[best]) < 4 * SEPARATION)
        left[near] = -np.inf
    points += [points[0]] * (count - len(points))
    return np.array([p[0] for p in points]), np.array([p[1] for p in points])


def scan_grid(log_t: tuple[float, float], log_n: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the scan that replaces the network where there is none: (nT,), (nN,)."""
    return np.linspace(*log_t, _SCAN[0] + 2)[1:-1], np.linspace(*log_n, _SCAN[1] + 2)[1:-1]
