"""Batched inference over spectra of one model: modes, NUTS, evidence, predictions.

Batches are padded to one size, so that one program per model is compiled and kept, and are spread over all
devices of the process (CPU devices or GPUs); each device runs its own loops, without waiting for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from coronium.inference.evidence import importance_weights
from coronium.inference.likelihood import log_density, pointwise
from coronium.inference.modes import Mode, climb, start
from coronium.inference.nuts import Chain, sample
from coronium.physics.arrays import Array
from coronium.physics.forward import line_photons, temperature_nodes
from coronium.physics.observation_model import Data, ModelArrays, ObservationModel, erring_counts, expected_counts
from coronium.physics.parameters import LN10, ParameterSpace, physical
from coronium.physics.spectrum import Statistic


@dataclass(frozen=True)
class SamplerSettings:
    """How long to sample; hashable.

    Attributes
    ----------
    chains, warmup, draws : int
        Draws are kept per chain.
    evidence_draws : int
    predictive_draws : int
        Posterior draws that predictions are made for.
    starts : int
        Starting points per spectrum.
    """

    chains: int = 4
    warmup: int = 50
    draws: int = 100
    evidence_draws: int = 512
    predictive_draws: int = 48
    starts: int = 4


class Physical(NamedTuple):
    """Physical quantities of draws, (...,) each but the abundances.

    Attributes
    ----------
    log_temperature, log_density, dem_width, log_emission_measure, log_column, metallicity
    log_abundance : (..., P) dex relative to reference, absolute
    emission_weighted_log_temperature : of all line photons of the layout
    model_error : relative, per bin
    ln_iron_emission_measure : log10 of EM x A(Fe) / A_reference(Fe)
    """

    log_temperature: Array
    log_density: Array
    dem_width: Array
    log_emission_measure: Array
    log_column: Array
    metallicity: Array
    log_abundance: Array
    emission_weighted_log_temperature: Array
    model_error: Array
    log_amplitude: Array


class Predictions(NamedTuple):
    """For R draws of each spectrum.

    Attributes
    ----------
    mean : (R, K, B) expected counts, exposures summed
    replicate : (R, K, B) counts drawn from them
    photons : (R, L)
    model_variance : (R, K, B) variance of the summed counts that the model's own error adds
    statistic, replicate_statistic : (R,) -2 ln likelihood of the data and of the replicates, saturated subtracted, for
        the noise alone: the model's error is inferred from the data and would excuse any misfit
    """

    mean: Array
    replicate: Array
    photons: Array
    model_variance: Array
    statistic: Array
    replicate_statistic: Array


def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("spectra",))


def _spread(function, arrays_first: int):
    """Run a batched function on every device's share of the batch; the first arguments are the same for all."""
    mesh = _mesh()
    each, same = PartitionSpec("spectra"), PartitionSpec()

    def run(*arguments):
        specs = tuple(same if i < arrays_first else each for i in range(len(arguments)))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False)(*arguments)

    return run


@partial(jax.jit, static_argnames=("space", "statistic"))
def _modes(
    space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, log_t: Array, log_n: Array
) -> Mode:
    def one(arrays: ModelArrays, data: Data, t: Array, n: Array) -> Mode:
        z = start(space, arrays, data, t, n)
        return climb(space, statistic, arrays, data, z)

    over_starts = jax.vmap(one, (None, None, 0, 0))
    return _spread(jax.vmap(over_starts, (None, 0, 0, 0)), 1)(arrays, data, log_t, log_n)


@partial(jax.jit, static_argnames=("space", "statistic"))
def _scan(
    space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, log_t: Array, log_n: Array
) -> Array:
    """Log density on a list of (log T, log n), amplitude matched: (batch, points)."""

    def one(arrays: ModelArrays, data: Data, t: Array, n: Array) -> Array:
        return log_density(space, statistic, arrays, data, start(space, arrays, data, t, n))

    def all_points(arrays: ModelArrays, data: Data) -> Array:
        return jax.lax.map(lambda p: one(arrays, data, p[0], p[1]), (log_t, log_n), batch_size=8)

    return _spread(jax.vmap(all_points, (None, 0)), 1)(arrays, data)


@partial(jax.jit, static_argnames=("space", "statistic", "settings"))
def _sample(
    space: ParameterSpace,
    statistic: Statistic,
    settings: SamplerSettings,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    choleskys: Array,
    keys: Array,
) -> Chain:
    """Chains (batch, chains, ...): means (batch, chains, D), one mode per chain."""

    def one(arrays: ModelArrays, data: Data, mean: Array, cholesky: Array, key: Array) -> Chain:
        return sample(space, statistic, arrays, data, mean, cholesky, key, settings.warmup, settings.draws)

    over_chains = jax.vmap(one, (None, None, 0, 0, 0))
    return _spread(jax.vmap(over_chains, (None, 0, 0, 0, 0)), 1)(arrays, data, means, choleskys, keys)


@partial(jax.jit, static_argnames=("space", "statistic", "settings"))
def _evidence(
    space: ParameterSpace,
    statistic: Statistic,
    settings: SamplerSettings,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    choleskys: Array,
    shares: Array,
    keys: Array,
) -> Array:
    def one(arrays: ModelArrays, data: Data, mean: Array, cholesky: Array, share: Array, key: Array) -> Array:
        return importance_weights(space, statistic, arrays, data, mean, cholesky, share, key, settings.evidence_draws)[
            1
        ]

    batched = jax.vmap(one, (None, 0, 0, 0, 0, 0))
    return _spread(batched, 1)(arrays, data, means, choleskys, shares, keys)


@partial(jax.jit, static_argnames=("space",))
def _physical(space: ParameterSpace, arrays: ModelArrays, z: Array) -> Physical:
    """Physical quantities of (batch, draws, D)."""

    def one(arrays: ModelArrays, point: Array) -> Physical:
        state = physical(space, arrays.corrections, point)
        plasma = state.plasma
        nodes, _ = temperature_nodes(plasma)
        if plasma.dem_width is None:
            weighted = plasma.log_temperature
        else:
            parts = jax.vmap(
                lambda t: line_photons(
                    arrays.bank, plasma._replace(log_temperature=t, dem_width=None), state.ln_line_correction
                ).sum()
            )(nodes)
            weights = temperature_nodes(plasma)[1] * parts
            weighted = jnp.sum(weights * nodes) / jnp.sum(weights)
        return Physical(
            log_temperature=plasma.log_temperature,
            log_density=plasma.log_density,
            dem_width=jnp.zeros(()) if plasma.dem_width is None else plasma.dem_width,
            log_emission_measure=plasma.ln_emission_measure / LN10,
            log_column=jnp.log10(jnp.maximum(plasma.column, 1e-30)) + 18.0,
            metallicity=plasma.ln_metals / LN10,
            log_abundance=plasma.ln_abundance / LN10,
            emission_weighted_log_temperature=weighted,
            model_error=state.model_error,
            log_amplitude=(plasma.ln_emission_measure + plasma.ln_metals) / LN10,
        )

    return _spread(jax.vmap(jax.vmap(one, (None, 0)), (None, 0)), 1)(arrays, z)


@partial(jax.jit, static_argnames=("space", "statistic"))
def _predict(
    space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array, keys: Array
) -> Predictions:
    def one(arrays: ModelArrays, data: Data, point: Array, key: Array) -> Predictions:
        source, background = expected_counts(space, arrays, data, point)
        mu = (source + background) * data.good
        first, second, third = jax.random.split(key, 3)
        if statistic is Statistic.FLUX:
            counts = mu + jax.random.normal(first, mu.shape) * jnp.sqrt(data.read_variance)
        else:
            counts = jax.random.poisson(first, jnp.maximum(mu, 1e-8)).astype(jnp.float32)
            counts = counts + jax.random.normal(second, mu.shape) * jnp.sqrt(data.read_variance)
        scale = data.background_scale[:, None, None]
        region = jax.random.poisson(third, jnp.maximum(background * scale, 1e-8)).astype(jnp.float32)
        copy = data._replace(counts=counts.astype(jnp.float32), background=region)
        state = physical(space, arrays.corrections, point)

        def deviance(observed: Data) -> Array:
            on, off = pointwise(statistic, observed, source, background)
            return -2.0 * (jnp.sum(on, dtype=jnp.float64) + jnp.sum(off, dtype=jnp.float64))

        return Predictions(
            mean=mu.sum(0),
            replicate=(copy.counts * data.good).sum(0),
            photons=line_photons(arrays.bank, state.plasma, state.ln_line_correction),
            model_variance=(state.model_error * (erring_counts(arrays, source, background) * data.good).sum(0)) ** 2,
            statistic=deviance(data),
            replicate_statistic=deviance(copy),
        )

    over_draws = jax.vmap(one, (None, None, 0, 0))
    return _spread(jax.vmap(over_draws, (None, 0, 0, 0)), 1)(arrays, data, z, keys)


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
        Spectra at once; rounded up to a multiple of the devices.
    """

    def __init__(self, model: ObservationModel, settings: SamplerSettings | None = None, batch: int = 8) -> None:
        devices = len(jax.devices())
        self.model = model
        self.settings = settings or SamplerSettings()
        self.batch = -(-batch // devices) * devices
        self._static = (model.space, model.statistic)

    def scan(self, data: Data, log_t: np.ndarray, log_n: np.ndarray) -> np.ndarray:
        """Log density (batch, points) at amplitude-matched points (points,)."""
        return np.asarray(_scan(*self._static, self.model.arrays, data, log_t, log_n))

    def modes(self, data: Data, log_t: np.ndarray, log_n: np.ndarray) -> Mode:
        """Modes (batch, starts) from starting temperatures and densities (batch, starts)."""
        found = _modes(*self._static, self.model.arrays, data, log_t.astype(np.float32), log_n.astype(np.float32))
        return Mode(*(np.asarray(a) for a in found))

    def sample(self, data: Data, means: np.ndarray, choleskys: np.ndarray, seeds: np.ndarray) -> Chain:
        """Chains (batch, chains, draws, ...), one mode per chain: means (batch, chains, D); seeds (batch,)."""
        keys = jax.vmap(lambda s: jax.random.split(jax.random.PRNGKey(s), self.settings.chains))(seeds)
        chains = _sample(*self._static, self.settings, self.model.arrays, data, means, choleskys, keys)
        return Chain(*(np.asarray(a) for a in chains))

    def evidence(
        self, data: Data, means: np.ndarray, choleskys: np.ndarray, shares: np.ndarray, seeds: np.ndarray
    ) -> np.ndarray:
        """Importance log weights (batch, S) from modes (batch, J, ...)."""
        keys = jax.vmap(lambda s: jax.random.PRNGKey(s + 1))(seeds)
        arguments = (self.model.arrays, data, means, choleskys, shares, keys)
        return np.asarray(_evidence(*self._static, self.settings, *arguments))

    def physical(self, z: np.ndarray) -> Physical:
        """Physical quantities of draws (batch, draws, D)."""
        return Physical(*(np.asarray(a, np.float64) for a in _physical(self.model.space, self.model.arrays, z)))

    def predict(self, data: Data, z: np.ndarray, seeds: np.ndarray) -> Predictions:
        """Predictions for draws (batch, R, D)."""
        keys = jax.vmap(lambda s: jax.random.split(jax.random.PRNGKey(s + 2), z.shape[1]))(seeds)
        predicted = _predict(*self._static, self.model.arrays, data, z, keys)
        return Predictions(*(np.asarray(a) for a in predicted))
