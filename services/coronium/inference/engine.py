"""Batched inference over spectra of one model: modes, NUTS, evidence, predictions.

Batches are padded to one size, so that one set of programs per model is compiled and kept. They are compiled one after
the other: two compilations at once were seen to wait for each other for ever (jaxlib 0.10.2, two cores).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from coronium.inference import programs
from coronium.inference.modes import Mode
from coronium.inference.nuts import Chain, Round
from coronium.inference.predictive import Predictions, predictions
from coronium.inference.programs import Expected, Physical, SamplerSettings, Static
from coronium.inference.starts import SCAN_POINTS
from coronium.physics.observation_model import Data, ObservationModel

MOST_MODES = 3
"""Followed at once."""
EVIDENCE_KEYS, ROUND_KEYS = 1, 4
"""Purposes of random numbers; every round has one of its own."""
TRIAGE = ("scan", "modes", "quantities", "evidence", "expectations")
WHOLE = ("scan", "modes", "chains", "quantities", "evidence", "expectations")


def stack(items: list[Data], size: int) -> Data:
    """Pad a list of observations with copies of the last to a batch of `size`."""
    padded = items + [items[-1]] * (size - len(items))
    return Data(*(np.stack(column) for column in zip(*padded, strict=True)))


class Engine:
    """Compiled inference for one model.

    Parameters
    ----------
    model : ObservationModel
    settings : SamplerSettings
    batch : int
        Spectra at once; rounded up to what fills the devices. Fewer spectra than devices share theirs: their chains
        are spread.
    """

    def __init__(self, model: ObservationModel, settings: SamplerSettings | None = None, batch: int = 4) -> None:
        devices = len(jax.devices())
        self.model = model
        self.settings = s = settings or SamplerSettings()
        within = 1 if batch >= devices else gcd(devices, s.chains, s.starts, s.kept, s.predictive_draws)
        rows = devices // within
        self.batch = -(-batch // rows) * rows
        self._static = Static(model.space, model.statistic, self.settings, within)
        self._arrays = jax.device_put(model.arrays, NamedSharding(programs.mesh(within), PartitionSpec()))
        self._compiled: dict[str, Any] = {}

    def prepare(self, names: Sequence[str] = WHOLE) -> None:
        """Compile the programs that are not yet compiled."""
        for name in names:
            if name not in self._compiled:
                self._compiled[name] = self._compile(name)

    def scan(self, data: Data, log_t: np.ndarray, log_n: np.ndarray) -> np.ndarray:
        """Log density (batch, points) at amplitude-matched points, `SCAN_POINTS` of them."""
        return np.asarray(self._run("scan", _single(log_t), _single(log_n), data))

    def modes(self, data: Data, log_t: np.ndarray, log_n: np.ndarray) -> Mode:
        """Modes (batch, starts) from starting temperatures and densities (batch, starts)."""
        return Mode(*(np.asarray(a) for a in self._run("modes", data, _single(log_t), _single(log_n))))

    def round(
        self,
        data: Data,
        means: np.ndarray,
        factors: np.ndarray,
        starts: np.ndarray,
        step_sizes: np.ndarray,
        seeds: np.ndarray,
        numbers: np.ndarray,
    ) -> Round:
        """One round of chains, (batch, chains, ...).

        Parameters
        ----------
        means, factors : (batch, chains, D), (batch, chains, D, D)
            Each chain's metric.
        starts : (batch, chains, D)
            In its coordinates.
        step_sizes : (batch, chains)
        seeds, numbers : (batch,)
            Of the spectra, and of the round that is each one's next.
        """
        keys = _keys(seeds, ROUND_KEYS + numbers, self.settings.chains)
        found = self._run("chains", data, means, factors, starts, step_sizes, keys)
        return Round(Chain(*(np.asarray(a) for a in found.chain)), np.asarray(found.step_size))

    def evidence(
        self, data: Data, means: np.ndarray, choleskys: np.ndarray, shares: np.ndarray, seeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Importance log weights (batch, S) and membership (batch, S, modes) from `MOST_MODES` modes each.

        Parameters
        ----------
        means, choleskys : (batch, modes, D), (batch, modes, D, D)
        shares : (batch, modes)
            Of the proposal; 0 for those that are not there.
        seeds : (batch,)
        """
        weights, membership = self._run(
            "evidence", data, means, choleskys, shares, _keys(seeds, np.full(len(seeds), EVIDENCE_KEYS), 1)[:, 0]
        )
        return np.asarray(weights), np.asarray(membership)

    def physical(self, z: np.ndarray) -> Physical:
        """Physical quantities of draws (batch, chains x draws, D)."""
        return Physical(*(np.asarray(a, np.float64) for a in self._run("quantities", z)))

    def predict(self, data: Data, z: np.ndarray, seeds: np.ndarray) -> list[Predictions]:
        """Predictions for draws (batch, predictive draws, D), one per spectrum."""
        expected = Expected(*(np.asarray(a) for a in self._run("expectations", data, z)))
        return [
            predictions(self.model.statistic, Data(*(a[i] for a in data)), Expected(*(a[i] for a in expected)), int(s))
            for i, s in enumerate(seeds)
        ]

    def _run(self, name: str, *arguments: Any) -> Any:
        self.prepare((name,))
        return self._compiled[name](self._arrays, *arguments)

    def _compile(self, name: str) -> Any:
        program = jax.jit(getattr(programs, name), static_argnums=0)
        return program.lower(self._static, self._arrays, *self._shapes(name)).compile()

    def _shapes(self, name: str) -> tuple[Any, ...]:
        """Shapes and types of a program's arguments behind the model's arrays."""
        space, settings, batch = self.model.space, self.settings, self.batch
        d, layout = space.size, space.layout

        def of(*shape: int, dtype: Any = np.float64) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype)

        def single(*shape: int) -> jax.ShapeDtypeStruct:
            return of(*shape, dtype=np.float32)

        bins = single(batch, space.exposures, layout.blocks, layout.bins)
        each = single(batch, space.exposures)
        data = Data(bins, bins, bins, bins, bins, each, each, single(batch, layout.channels))
        starts = single(batch, settings.starts)
        points = single(SCAN_POINTS)
        draws = settings.kept

        def gaussians(count: int) -> tuple[Any, ...]:
            return of(batch, count, d), of(batch, count, d, d)

        return {
            "scan": (points, points, data),
            "modes": (data, starts, starts),
            "chains": (
                data,
                *gaussians(settings.chains),
                of(batch, settings.chains, d),
                of(batch, settings.chains),
                of(batch, settings.chains, 2, dtype=np.uint32),
            ),
            "evidence": (
                data,
                *gaussians(MOST_MODES),
                of(batch, MOST_MODES),
                of(batch, 2, dtype=np.uint32),
            ),
            "quantities": (of(batch, draws, d),),
            "expectations": (data, of(batch, min(settings.predictive_draws, draws), d)),
        }[name]


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)


def _keys(seeds: np.ndarray, purposes: np.ndarray, count: int) -> np.ndarray:
    """Random keys (batch, count, 2) that follow from seeds and purposes (batch,)."""
    return np.stack(
        [
            np.random.SeedSequence([int(s) % 2**63, int(p)]).generate_state(2 * count)
            for s, p in zip(seeds, purposes, strict=True)
        ]
    ).reshape(len(seeds), count, 2)
