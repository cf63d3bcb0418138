"""From draws to what may be quoted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

UNCONSTRAINED_SD = 0.7
"""A posterior wider than this share of the prior's standard deviation is no measurement."""
LEAST_SHARE = 0.02
"""Of the posterior: the chains of a smaller mode are not asked whether they have converged."""
EDGE_WIDTH = 0.05
EDGE_MASS = 0.025
"""A posterior with more than this mass in the outermost twentieth of a uniform prior has met its edge."""


class Constraint(StrEnum):
    """How a summary may be quoted."""

    MEASURED = "measured"
    UPPER_LIMIT = "upper_limit"
    LOWER_LIMIT = "lower_limit"
    UNCONSTRAINED = "unconstrained"


@dataclass(frozen=True)
class Summary:
    """Marginal posterior of one parameter.

    Attributes
    ----------
    limit95 : float
        The 95 % limit where the constraint is one, else NaN.
    prior_dominated : bool
        The posterior's sd exceeds 0.7 of the prior's.
    """

    name: str
    unit: str
    median: float
    mean: float
    standard_deviation: float
    interval68: tuple[float, float]
    interval95: tuple[float, float]
    constraint: Constraint
    limit95: float
    prior_dominated: bool
    r_hat: float
    effective_sample_size: float


def chain_diagnostics(
    chains: NDArray[np.floating], owner: NDArray[np.integer], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split R-hat and effective sample size of each unknown, (D,) each.

    Chains of different modes are not meant to agree. R-hat is the largest of the modes that matter; the effective
    sample size is that of draws of modes with these shares: sizes add up as 1 / sum(share^2 / size).

    Parameters
    ----------
    chains : (C, S, D)
    owner : (C,) mode of each chain
    shares : (J,) of the modes
    """
    r_hats, precision = [], np.zeros(chains.shape[-1])
    for mode in np.unique(owner):
        if shares[mode] < LEAST_SHARE:
            continue
        own = chains[owner == mode]
        with np.errstate(all="ignore"):
            r_hats.append(np.asarray(split_gelman_rubin(own)))
            precision += shares[mode] ** 2 / np.asarray(effective_sample_size(own))
    return np.max(r_hats, axis=0), 1.0 / precision


def summarise(
    name: str,
    unit: str,
    draws: NDArray[np.floating],
    prior_sd: float,
    bounds: tuple[float, float] | None = None,
    log_uniform: bool = False,
    r_hat: float = float("nan"),
    ess: float = float("nan"),
) -> Summary:
    """Summarise (S,) equally weighted draws.

    Parameters
    ----------
    prior_sd : float
        Standard deviation of the prior.
    bounds : (low, high), optional
        Of a uniform prior.
    log_uniform : bool
        The prior is uniform in the logarithm of the quantity.
    """
    # This rule's intervals hold the next draw as often as they say, whatever their number.
    q = np.quantile(draws, [0.025, 0.05, 0.16, 0.5, 0.84, 0.95, 0.975], method="weibull")
    sd = float(np.std(draws))
    wide = sd > UNCONSTRAINED_SD * prior_sd
    constraint, limit = Constraint.UNCONSTRAINED if wide else Constraint.MEASURED, float("nan")
    if bounds is not None and not wide:
        scale = np.log if log_uniform else np.asarray
        bottom, top = (float(scale(b)) for b in bounds)
        margin, placed = EDGE_WIDTH * (top - bottom), scale(draws)
        low, high = np.mean(placed < bottom + margin), np.mean(placed > top - margin)
        if low > EDGE_MASS and low >= high:
            constraint, limit = Constraint.UPPER_LIMIT, float(q[5])
        elif high > EDGE_MASS:
            constraint, limit = Constraint.LOWER_LIMIT, float(q[1])
    return Summary(
        name=name,
        unit=unit,
        median=float(q[3]),
        mean=float(np.mean(draws)),
        standard_deviation=sd,
        interval68=(float(q[2]), float(q[4])),
        interval95=(float(q[0]), float(q[6])),
        constraint=constraint,
        limit95=limit,
        prior_dominated=bool(wide),
        r_hat=float(r_hat),
        effective_sample_size=float(ess),
    )
