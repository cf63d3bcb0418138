"""The chains of spectra on their way: rounds until they agree, in a batch whose free places who comes next takes.

A round begins where the last one ended, with a metric and a step size that it taught. Most spectra need two; the faint,
whose posteriors are far from Gaussian, need several. A spectrum that is done makes room, so that the others' batch is
full whatever each of them needs; its draws do not depend on who was beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coronium.inference.engine import Engine, stack
from coronium.inference.metric import improved
from coronium.inference.mode_choice import Choice
from coronium.inference.nuts import Chain, Round
from coronium.inference.summaries import chain_diagnostics
from coronium.physics.observation_model import Data

AGREED_R_HAT, ENOUGH_EFFECTIVE = 1.05, 100.0
"""Chains stop when the unknowns that are quoted have a smaller R-hat and more effective draws,"""
WORST_R_HAT, LEAST_EFFECTIVE = 1.1, 50.0
"""and the others these; chains that never came so far have not converged."""
FIRST_STEP = 0.6
"""Of a chain's first round, in whitened coordinates."""


@dataclass
class Walk:
    """One spectrum from its modes to its draws.

    Attributes
    ----------
    place : int
        Of the spectrum among those to fit.
    data : Data
        Without a batch axis.
    seed : int
    choice : Choice
    found : (means (J, D), choleskys (J, D, D)) of the modes as they were found
    chains : int
    quoted : (D,) bool
        Unknowns that results quote; the others are there for their sake.
    """

    place: int
    data: Data
    seed: int
    choice: Choice
    found: tuple[NDArray[np.float64], NDArray[np.float64]]
    chains: int
    quoted: NDArray[np.bool_]
    seconds: float = 0.0
    rounds: list[Chain] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.means, self.choleskys = self.found
        # Chains are dealt to the modes in turn.
        self.owner = np.arange(self.chains) % len(self.choice.index)
        self.step_size: NDArray[np.float64] = np.full(self.chains, FIRST_STEP)

    def start(self) -> NDArray[np.float64]:
        """Where the next round begins, (C, D), in its metric's coordinates."""
        if not self.rounds:
            # A posterior sd away from the mode, so that R-hat can fail.
            rng = np.random.default_rng([self.seed % 2**63, 3])
            return rng.standard_normal((self.chains, self.means.shape[-1]))
        behind = self.rounds[-1].z[:, -1] - self.means[self.owner]
        return np.linalg.solve(self.choleskys[self.owner], behind[..., None])[..., 0]

    def add(self, chain: Chain, step_size: NDArray[np.float64]) -> None:
        """Take in a round: chains (C, S, ...) and the step sizes (C,) that they had."""
        self.rounds.append(chain)
        self.step_size = step_size
        drawn = np.concatenate([r.z for r in self.rounds], axis=1)
        means, choleskys = self.found
        self.means, self.choleskys = means.copy(), choleskys.copy()
        for j in np.unique(self.owner):
            draws = drawn[self.owner == j].reshape(-1, means.shape[-1])
            if np.isfinite(draws).all():
                self.means[j], self.choleskys[j] = improved(means[j], choleskys[j], draws)

    @property
    def kept(self) -> Chain:
        """Draws of the later half of the rounds, and never of the first."""
        later = self.rounds[max(1, len(self.rounds) // 2) :]
        return Chain(*(np.concatenate(parts, axis=1) for parts in zip(*later, strict=True)))

    def approximate(self, draws: int) -> Chain:
        """Independent draws of the Gaussian approximations of the modes, as if they were chains."""
        # Of its own seed: a result must not depend on what was fitted beside it.
        normal = np.random.default_rng([self.seed % 2**63, 7]).standard_normal(
            (self.chains, draws, self.means.shape[-1])
        )
        z = self.means[self.owner][:, None] + np.einsum("cij,csj->csi", self.choleskys[self.owner], normal)
        none = np.zeros(z.shape[:2])
        return Chain(z, none.astype(bool), none)

    def done(self, most_rounds: int) -> bool:
        """Whether the chains agree, or have had their chance."""
        if len(self.rounds) < 2:
            return False
        if len(self.rounds) >= most_rounds:
            return True
        # Of every mode: what Laplace's approximation makes small may not be.
        r_hat, effective = chain_diagnostics(self.kept.z, self.owner, self.choice.proposal)
        most = np.where(self.quoted, AGREED_R_HAT, WORST_R_HAT)
        least = np.where(self.quoted, ENOUGH_EFFECTIVE, LEAST_EFFECTIVE)
        return bool(np.all(r_hat < most) and np.all(effective > least))


def walked(engine: Engine, batches: Iterable[list[Walk]]) -> Iterator[Walk]:
    """Sample all walks of some batches; yield each when it is done."""
    waiting: list[Walk] = []
    for batch in batches:
        waiting += batch
        while len(waiting) >= engine.batch:
            yield from _round(engine, waiting)
    while waiting:
        yield from _round(engine, waiting)


def _round(engine: Engine, waiting: list[Walk]) -> list[Walk]:
    """Take the first walks a round further, and those that are done off the list."""
    began = time.perf_counter()
    some = waiting[: engine.batch]
    padded = some + [some[-1]] * (engine.batch - len(some))
    found: Round = engine.round(
        stack([w.data for w in padded], engine.batch),
        np.stack([w.means[w.owner] for w in padded]),
        np.stack([w.choleskys[w.owner] for w in padded]),
        np.stack([w.start() for w in padded]),
        np.stack([w.step_size for w in padded]),
        np.array([w.seed for w in padded]),
        np.array([len(w.rounds) for w in padded]),
    )
    for i, walk in enumerate(some):
        walk.add(Chain(*(part[i] for part in found.chain)), found.step_size[i])
    done = [w for w in some if w.done(engine.settings.most_rounds)]
    for walk in some:
        walk.seconds += (time.perf_counter() - began) / len(some)
    waiting[:] = [w for w in waiting if not any(w is d for d in done)]
    return done
