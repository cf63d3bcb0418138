"""Which modes of a posterior are followed, and how the chains of several become one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from coronium.inference.engine import MOST_MODES
from coronium.inference.modes import Mode

MODE_DEPTH = 3.0
"""A second mode is followed when its ln evidence is within this of the best one's."""


@dataclass(frozen=True)
class Choice:
    """Modes of one spectrum that are followed, best first.

    Attributes
    ----------
    index : list of int
        Among the climbs.
    share : list of float
        Of the evidence; they sum to one.
    """

    index: list[int]
    share: list[float]


def choose_modes(modes: Mode, i: int) -> Choice:
    """Distinct modes of spectrum i worth following."""
    evidence = np.nan_to_num(modes.log_evidence[i], nan=-np.inf)
    order = np.argsort(-evidence)
    kept = [int(order[0])]
    for j in order[1:]:
        if evidence[j] < evidence[kept[0]] - MODE_DEPTH or len(kept) == MOST_MODES:
            break
        factor = modes.cholesky[i, kept[0]]
        apart = np.linalg.solve(factor, modes.z[i, j] - modes.z[i, kept[0]])
        # Within the best mode's own ellipsoid it is the same mode, found again less exactly.
        if np.sqrt((apart**2).sum()) > 3.0 + np.sqrt(2.0 * len(apart)):
            kept.append(int(j))
    share = np.exp(evidence[kept] - logsumexp(evidence[kept]))
    return Choice(kept, [float(s) for s in share])


def weighted_draws(z: NDArray, owner: NDArray, shares: list[float], seed: int) -> NDArray:
    """Merge chains (C, S, D) to (C S, D) draws, chains of a mode weighted by its share."""
    flat = z.reshape(-1, z.shape[-1])
    if len(shares) == 1:
        # Interleaved, so that thinning takes from all chains.
        return z.transpose(1, 0, 2).reshape(-1, z.shape[-1])
    per_chain = np.array([shares[o] / (owner == o).sum() for o in owner])
    weight = np.repeat(per_chain, z.shape[1])
    rng = np.random.default_rng(seed % 2**63)
    return flat[rng.choice(len(flat), size=len(flat), p=weight / weight.sum())]
