"""The programs that an engine compiles: every step of the inference over a batch of spectra.

Each takes what is fixed at compilation, then the model's arrays, then what differs from spectrum to spectrum, with the
batch as its first axis. Batches are spread over all devices of the process (CPU devices or GPUs), and so are the chains
of each spectrum where there are fewer spectra than devices; each device runs its own loops, without waiting for the
others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from coronium.inference.evidence import importance_weights
from coronium.inference.likelihood import likelihood_of
from coronium.inference.modes import Mode, climb, matched
from coronium.inference.nuts import LONGEST_WARMUP, Round, sample
from coronium.inference.starts import SCAN_POINTS
from coronium.physics.arrays import Array
from coronium.physics.forward import calibration_gain, emission_weighted_log_temperature, line_photons
from coronium.physics.observation_model import Data, ModelArrays, erring_counts, expected_counts
from coronium.physics.parameters import LN10, ParameterSpace, physical
from coronium.physics.spectrum import Statistic


@dataclass(frozen=True)
class SamplerSettings:
    """How long to sample; hashable.

    Attributes
    ----------
    chains : int
    most_rounds : int
        At least 2. After each the metric is improved by its draws, and chains that agree stop; the draws of the first
        are not kept.
    warmup : int
        Steps of each round that adapt the step size, 19 at most.
    draws : int
        Of each round, per chain.
    deepest_tree : int
        A step takes at most 2^deepest_tree - 1 leapfrogs. The chains of a batch wait for the slowest, so this caps the
        cost; bright spectra are content with 4, faint ones, whose posteriors are less Gaussian, mix better with 5.
    evidence_draws : int
    predictive_draws : int
        Posterior draws that predictions are made for.
    starts : int
        Starting points per spectrum.
    """

    chains: int = 4
    most_rounds: int = 6
    warmup: int = 10
    draws: int = 50
    deepest_tree: int = 4
    evidence_draws: int = 512
    predictive_draws: int = 48
    starts: int = 6

    def __post_init__(self) -> None:
        if self.most_rounds < 2:
            raise ValueError("a chain needs two rounds at least: the first is not kept")
        if not 0 < self.warmup <= LONGEST_WARMUP:
            raise ValueError(f"the warm-up of a round takes 1 to {LONGEST_WARMUP} steps, not {self.warmup}")

    @property
    def kept(self) -> int:
        """Draws kept per spectrum, however many there were."""
        return self.chains * self.draws


class Physical(NamedTuple):
    """Physical quantities of draws, (...,) each but the abundances.

    Attributes
    ----------
    log_temperature, log_density, dem_width, log_emission_measure, log_column, metallicity
    log_abundance : (..., P) dex relative to reference, absolute
    emission_weighted_log_temperature : of all line photons of the layout
    model_error : relative, per bin
    log_amplitude : log10 of EM x A(Fe) / A_reference(Fe)
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


class Expected(NamedTuple):
    """What R draws of each spectrum expect, (batch, R, ...).

    Attributes
    ----------
    source, background, error : (E, K, B) counts, and the standard deviation of the model's own error
    photons : (L,)
    model_error : relative, in a bin
    fwhm, shift : (C,) Angstrom, on the layout's grid
    sensitivity : (K, B) counts per photon in a bin, exposures added up
    """

    source: Array
    background: Array
    photons: Array
    error: Array
    model_error: Array
    fwhm: Array
    shift: Array
    sensitivity: Array


class Static(NamedTuple):
    """What a program is compiled for: hashable.

    Attributes
    ----------
    devices : int
        That share one spectrum.
    """

    space: ParameterSpace
    statistic: Statistic
    settings: SamplerSettings
    devices: int = 1


def mesh(devices: int) -> Mesh:
    """All devices of the process, (spectra, devices that share one)."""
    return Mesh(np.array(jax.devices()).reshape(-1, devices), ("spectra", "within"))


def _spread(static: Static, function: Callable, shared: int = 1, within: int | None = None) -> Callable:
    """Run a batched function on every device's share of the batch.

    Parameters
    ----------
    shared : int
        So many arguments, the first ones, are for all.
    within : int, optional
        From this argument on, and in what is returned, the second axis is spread over the devices that share a
        spectrum. Without it each of them does the same.
    """
    each, same, own = PartitionSpec("spectra"), PartitionSpec(), PartitionSpec("spectra", "within")

    def spec(i: int) -> PartitionSpec:
        if i < shared:
            return same
        return each if within is None or i < within else own

    def run(*arguments):
        specs = tuple(spec(i) for i in range(len(arguments)))
        out = each if within is None else own
        return jax.shard_map(function, mesh=mesh(static.devices), in_specs=specs, out_specs=out, check_vma=False)(
            *arguments
        )

    return run


def _in_one_row(one: Callable) -> Callable:
    """Batch a function of (arrays, data, *own) over spectra and what is several in each: own are (batch, several, ...).

    In one row, with each spectrum's data repeated, and not one batch within another: JAX traces a loop anew for each.
    """

    def run(arrays: ModelArrays, data: Data, *own: Array):
        batch, several = own[0].shape[:2]
        repeated = jax.tree.map(lambda a: jnp.repeat(a, several, axis=0), data)
        rows = [a.reshape(batch * several, *a.shape[2:]) for a in own]
        found = jax.vmap(one, (None, *[0] * (1 + len(rows))))(arrays, repeated, *rows)
        return jax.tree.map(lambda a: a.reshape(batch, several, *a.shape[1:]), found)

    return run


def scan(static: Static, arrays: ModelArrays, log_t: Array, log_n: Array, data: Data) -> Array:
    """Log density (batch, points) on a list of log T and log n, (points,) each, amplitude matched to the data."""

    def all_points(arrays: ModelArrays, log_t: Array, log_n: Array, data: Data) -> Array:
        def at(point: tuple[Array, Array]) -> Array:
            z, source, background = matched(static.space, arrays, data, *point)
            value = likelihood_of(static.space, static.statistic, arrays, data, z, source, background)
            return value - 0.5 * jnp.sum(z.astype(jnp.float64) ** 2)

        # Parts of one size: a rest would be compiled a second time.
        return jax.lax.map(at, (log_t, log_n), batch_size=SCAN_POINTS // 6)

    return _spread(static, jax.vmap(all_points, (None, None, None, 0)), shared=3)(arrays, log_t, log_n, data)


def modes(static: Static, arrays: ModelArrays, data: Data, log_t: Array, log_n: Array) -> Mode:
    """Modes (batch, starts, ...) from starting points (batch, starts)."""

    def one(arrays: ModelArrays, data: Data, t: Array, n: Array) -> Mode:
        z, _, _ = matched(static.space, arrays, data, t, n)
        return climb(static.space, static.statistic, arrays, data, z)

    return _spread(static, _in_one_row(one), within=2)(arrays, data, log_t, log_n)


def chains(
    static: Static,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    factors: Array,
    starts: Array,
    step_sizes: Array,
    keys: Array,
) -> Round:
    """One round of chains (batch, chains, ...): means (batch, chains, D), one metric and step size per chain."""
    s = static.settings

    def one(
        arrays: ModelArrays, data: Data, mean: Array, factor: Array, start: Array, step_size: Array, key: Array
    ) -> Round:
        model, metric = (static.space, static.statistic, arrays, data), (mean, factor)
        return sample(*model, *metric, start, step_size, key, s.warmup, s.draws, s.deepest_tree)

    return _spread(static, _in_one_row(one), within=2)(arrays, data, means, factors, starts, step_sizes, keys)


def evidence(
    static: Static,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    choleskys: Array,
    shares: Array,
    keys: Array,
) -> tuple[Array, Array]:
    """Importance log weights (batch, draws) and membership (batch, draws, modes) from modes (batch, modes, ...)."""

    def one(arrays: ModelArrays, data: Data, mean: Array, cholesky: Array, share: Array, key: Array):
        count = static.settings.evidence_draws
        return importance_weights(static.space, static.statistic, arrays, data, mean, cholesky, share, key, count)

    return _spread(static, jax.vmap(one, (None, 0, 0, 0, 0, 0)))(arrays, data, means, choleskys, shares, keys)


def quantities(static: Static, arrays: ModelArrays, z: Array) -> Physical:
    """Physical quantities of draws (batch, draws, D)."""

    def one(arrays: ModelArrays, point: Array) -> Physical:
        state = physical(static.space, arrays.corrections, point)
        plasma = state.plasma
        weighted = emission_weighted_log_temperature(arrays.bank, plasma, state.ln_line_correction)
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

    def all_draws(arrays: ModelArrays, points: Array) -> Physical:
        return jax.lax.map(lambda z: one(arrays, z), points, batch_size=16)

    return _spread(static, jax.vmap(all_draws, (None, 0)), within=1)(arrays, z)


def expectations(static: Static, arrays: ModelArrays, data: Data, z: Array) -> Expected:
    """Expectations of draws (batch, R, D)."""

    def one(arrays: ModelArrays, data: Data, point: Array) -> Expected:
        source, background = expected_counts(static.space, arrays, data, point)
        state = physical(static.space, arrays.corrections, point)
        return Expected(
            source=source,
            background=background,
            photons=line_photons(arrays.bank, state.plasma, state.ln_line_correction),
            error=state.model_error * erring_counts(arrays, source, background),
            model_error=state.model_error,
            fwhm=state.response.fwhm,
            shift=state.response.shift - data.offset,
            sensitivity=(data.area * data.good * state.exposure_scale[:, None, None]).sum(0)
            * calibration_gain(arrays.bank, state.response),
        )

    over_draws = jax.vmap(one, (None, None, 0))
    return _spread(static, jax.vmap(over_draws, (None, 0, 0)), within=2)(arrays, data, z)
