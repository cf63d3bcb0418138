"""From a measured O VII f/i to a density, through the emissivity table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jax.typing import ArrayLike

from coronium.evaluation.o7_data import TRIPLET
from coronium.evaluation.o7_triplet import Triplet
from coronium.evaluation.table_ratios import line_photons
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.spectrum import FloatArray

PRIOR = (8.0, 12.0)
"""log n, uniform: the fit's own default."""
TEMPERATURE = 6.3
"""log T where O VII shines most."""
TEMPERATURES = (6.2, 6.3, 6.4, 6.5)
"""Over these f/i at one density changes by a few per cent: the systematic of the plain method."""
EDGE = 0.2, 0.025
"""More than this share of the posterior within this of the prior's low end makes a limit, as in a fit."""
O_VII = 8, 7


@dataclass(frozen=True)
class DensityEstimate:
    """What one f/i says of the density under a log-uniform prior.

    Attributes
    ----------
    log_temperature : tuple of float
        Averaged over where there are several.
    median : float, log10 cm-3
    interval68, interval95 : (low, high), log10 cm-3
    upper_limit : float
        95 % of the posterior lies below.
    measured : bool
        False where the posterior reaches the low end of the prior: then only the limit may be quoted.
    """

    log_temperature: tuple[float, ...]
    median: float
    interval68: tuple[float, float]
    interval95: tuple[float, float]
    upper_limit: float
    measured: bool

    def __str__(self) -> str:
        if not self.measured:
            return f"below {self.upper_limit:.2f} (95 %)"
        (low, high), (low95, high95) = self.interval68, self.interval95
        return f"{self.median:.2f} ({low:.2f} to {high:.2f}; 95 %: {low95:.2f} to {high95:.2f})"


def ratio_of(table: EmissivityTable, log_temperature: ArrayLike, log_density: ArrayLike) -> FloatArray:
    """Photon ratio f/i of O VII; i is 21.801 and 21.804 together, one line to LETG.

    Parameters
    ----------
    log_temperature, log_density : scalar or (S,), log10 K and log10 cm-3

    Returns
    -------
    array of their common shape
    """
    _, intercombination, forbidden = TRIPLET
    above, below = (line_photons(table, O_VII, w, log_temperature, log_density) for w in (forbidden, intercombination))
    return above / below


def tabulated(triplet: Triplet, reach: float = 6.0, points: int = 25) -> Callable[[FloatArray], FloatArray]:
    """Profile likelihood of f/i as a function of arrays: a cubic through `points` fits, constant beyond `reach` sigma.

    Returns
    -------
    callable
        (S,) f/i -> (S,) ln likelihood minus its maximum.
    """
    from scipy.interpolate import PchipInterpolator

    low = max(triplet.f_over_i - reach * triplet.error, 0.0)
    ratios = np.linspace(low, triplet.f_over_i + reach * triplet.error, points)
    curve = PchipInterpolator(ratios, [triplet.profile(float(ratio)) for ratio in ratios])
    return lambda ratio: np.asarray(curve(np.clip(ratio, ratios[0], ratios[-1])))


def density_from_ratio(
    log_likelihood: Callable[[FloatArray], FloatArray],
    table: EmissivityTable,
    log_temperature: tuple[float, ...] = (TEMPERATURE,),
    prior: tuple[float, float] = PRIOR,
) -> DensityEstimate:
    """Posterior of log n from the likelihood of f/i.

    Parameters
    ----------
    log_likelihood : callable
        (S,) f/i -> (S,).
    log_temperature : tuple of float
        Where the table's f/i is taken; the likelihoods of several are averaged.
    prior : (low, high), log10 cm-3
    """
    grid = np.linspace(*prior, 1601)
    density = np.mean([np.exp(log_likelihood(ratio_of(table, t, grid))) for t in log_temperature], axis=0)
    share = np.cumsum(0.5 * (density[1:] + density[:-1]))
    share = np.concatenate([[0.0], share / share[-1]])

    def at(levels: list[float]) -> list[float]:
        return [float(v) for v in np.interp(levels, share, grid)]

    low95, low, median, high, limit, high95 = at([0.025, 0.16, 0.5, 0.84, 0.95, 0.975])
    width, mass = EDGE
    return DensityEstimate(
        log_temperature=log_temperature,
        median=median,
        interval68=(low, high),
        interval95=(low95, high95),
        upper_limit=limit,
        measured=bool(np.interp(prior[0] + width, grid, share) <= mass),
    )
