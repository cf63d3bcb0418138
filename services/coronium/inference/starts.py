"""Where to start climbing: a few well separated peaks of a map over temperature and density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """Return `count` starting points of a map: log T and log n, (count,) each.

    First the peaks of the profile over temperature, best first, each at its best density: ions of different
    temperatures explain a faint spectrum as well as each other, and a climb does not cross from one to the next. Then
    the temperatures furthest from those there are: a map made with every other unknown held still need not show a peak
    where there is one.

    Parameters
    ----------
    log_probability : (nT, nN)
    log_temperature, log_density : (nT,), (nN,)
    count : int
        At most nT.
    """
    filled = np.nan_to_num(np.asarray(log_probability, float), nan=-np.inf)
    profile = filled.max(axis=1)
    walled = np.concatenate([[-np.inf], profile, [-np.inf]])
    peaks = np.flatnonzero((profile >= walled[:-2]) & (profile > walled[2:]) & np.isfinite(profile))
    chosen = [int(i) for i in peaks[np.argsort(-profile[peaks])][:count]] or [len(profile) // 2]
    while len(chosen) < count:
        distance = np.abs(log_temperature[:, None] - log_temperature[chosen]).min(axis=1)
        chosen.append(int(np.argmax(distance)))
    return np.asarray(log_temperature, float)[chosen], np.asarray(log_density, float)[filled[chosen].argmax(axis=1)]


def scan_grid(log_t: tuple[float, float], log_n: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the scan that replaces the network where there is none: (nT,), (nN,)."""
    return np.linspace(*log_t, _SCAN[0] + 2)[1:-1], np.linspace(*log_n, _SCAN[1] + 2)[1:-1]
