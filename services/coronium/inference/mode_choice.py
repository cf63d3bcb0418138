"""Which modes of a posterior are followed, and how the chains of several become one sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from coronium.inference.engine import MOST_MODES
from coronium.inference.modes import Mode

MODE_DEPTH = 6.0
"""A mode is followed when its ln evidence, by Laplace's approximation, is within this of the best one's."""
SAME_MODE = 2.5
"""Climbs that end within so many sd of a mode have ended at that mode: on the same one they agree to 0.2."""
EVEN_SHARE = 0.5
"""Of the proposal, dealt evenly to the modes: Laplace's approximation may be wrong about a mode that it makes small."""


@dataclass(frozen=True)
class Choice:
    """Modes of one spectrum that are followed, best first.

    Attributes
    ----------
    index : list of int
        Among the climbs.
    share : (J,)
        Of the evidence by Laplace's approximation, J = `MOST_MODES`; 0 where there is no such mode.
    """

    index: list[int]
    share: NDArray[np.float64]

    @property
    def padded(self) -> list[int]:
        """Indices of J modes; the best one where there is no other."""
        return self.index + [self.index[0]] * (MOST_MODES - len(self.index))

    @property
    def proposal(self) -> NDArray[np.float64]:
        """Shares (J,) of the modes in an importance-sampling proposal."""
        return (1.0 - EVEN_SHARE) * self.share + EVEN_SHARE * (self.share > 0) / len(self.index)


def choose_modes(modes: Mode, i: int, most: int = MOST_MODES) -> Choice:
    """Distinct modes of spectrum i worth following, `most` of them: each needs a chain."""
    evidence = np.nan_to_num(modes.log_evidence[i], nan=-np.inf)
    kept: list[int] = []
    for j in np.argsort(-evidence):
        if kept and (evidence[j] < evidence[kept[0]] - MODE_DEPTH or len(kept) == min(most, MOST_MODES)):
            break
        steps = [np.linalg.solve(modes.cholesky[i, k], modes.z[i, j] - modes.z[i, k]) for k in kept]
        if all((step**2).sum() > SAME_MODE**2 for step in steps):
            kept.append(int(j))
    share = np.zeros(MOST_MODES)
    believed = evidence[kept] if np.isfinite(evidence[kept]).any() else np.zeros(len(kept))
    share[: len(kept)] = np.exp(believed - logsumexp(believed))
    return Choice(kept, share)


def weighted_draws(z: NDArray, owner: NDArray, shares: NDArray[np.float64], seed: int, count: int) -> NDArray:
    """Merge chains (C, S, D) to (count, D) draws, chain behind chain; those of a mode weighted by its share (J,)."""
    flat = z.reshape(-1, z.shape[-1])
    if (owner == owner[0]).all():
        return thinned(flat, count)
    per_chain = np.array([shares[o] / (owner == o).sum() for o in owner])
    weight = np.repeat(per_chain, z.shape[1])
    # Evenly spaced through the cumulative weights: of no more noise than it must be, and in the chains' order.
    places = (np.random.default_rng(seed % 2**63).random() + np.arange(count)) / count
    return flat[np.searchsorted(np.cumsum(weight / weight.sum()), places).clip(max=len(flat) - 1)]


def thinned(draws: NDArray, count: int) -> NDArray:
    """At most `count` of the draws along the first axis, evenly spread, so that every chain gives its part."""
    return draws[np.linspace(0, len(draws) - 1, min(count, len(draws))).round().astype(int)]


def strayed(
    z: NDArray[np.float64], owner: NDArray[np.integer], means: NDArray[np.float64], choleskys: NDArray[np.float64]
) -> float:
    """Largest share of a chain's draws that lie nearer to another mode than to the chain's own.

    The draws of a chain are weighted by the mass of its mode, which is right only while it stays there.

    Parameters
    ----------
    z : (C, S, D)
    owner : (C,) mode of each chain
    means, choleskys : (J, D), (J, D, D) of the modes, as they were found
    """
    modes = np.unique(owner)
    if len(modes) == 1:
        return 0.0
    flat = z.reshape(-1, z.shape[-1])
    distances = np.stack(
        [(np.linalg.solve(choleskys[j], (flat - means[j]).T) ** 2).sum(axis=0).reshape(z.shape[:2]) for j in modes]
    )
    nearest = modes[distances.argmin(axis=0)]
    return float((nearest != owner[:, None]).mean(axis=1).max())
