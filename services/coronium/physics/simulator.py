"""Spectra with known truth: every unknown drawn, nuisance terms included, and the noise of the detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from coronium.physics.forward import line_photons
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.line_groups import LineGroups, line_groups
from coronium.physics.observation_model import (
    Data,
    ModelArrays,
    ModelCache,
    ObservationModel,
    erring_counts,
    expected_counts,
    gain_shape,
    pack,
)
from coronium.physics.parameters import (
    LN10,
    ParameterSpace,
    Priors,
    amplitude_prior,
    from_standard_normals,
    model_error,
    physical,
)
from coronium.physics.spectrum import Channel, FloatArray, Spectrum, Statistic

STRONGEST_LINES = 10
BATCH = 64


@dataclass(frozen=True)
class Truth:
    """What a simulated spectrum was made of.

    Attributes
    ----------
    log_temperature, log_density, log_emission_measure : float
        log10 of K, cm-3 and cm-5 (EM / 4 pi d^2 for stars).
    signal_to_noise : float
        Per resolution element, averaged over the ten strongest lines.
    unknowns : (D,) the whole vector, in the names' order
    line_signal_to_noise : (G,) true S/N of each line group
    """

    log_temperature: float
    log_density: float
    log_emission_measure: float
    signal_to_noise: float
    unknowns: FloatArray
    line_signal_to_noise: FloatArray


def empty_spectrum(instrument: Instrument, exposures: int = 1, exposure_seconds: float | None = None) -> Spectrum:
    """A spectrum of an instrument on its own grid, without light.

    Parameters
    ----------
    instrument : Instrument
    exposures : int
    exposure_seconds : float, optional
        Of each exposure; default the instrument's typical one.
    """
    seconds = instrument.exposure_seconds if exposure_seconds is None else exposure_seconds
    channels = []
    for c in instrument.channels:
        shape = (exposures, c.bins)
        region = c.background_scale is not None
        channels.append(
            Channel(
                name=c.name,
                wavelength_edges=c.wavelength_edges,
                counts=np.zeros(shape, np.float32),
                area_exposure=np.broadcast_to(instrument.area_exposure(c, seconds), shape).astype(np.float32),
                mask=np.broadcast_to(c.mask, shape).copy(),
                statistic=c.statistic,
                background=np.zeros(shape, np.float32) if region else None,
                background_scale=np.full(exposures, c.background_scale, np.float32) if region else None,
                read_variance=(
                    np.full(shape, instrument.read_variance(c), np.float32)
                    if c.statistic is Statistic.COUNTS_WITH_READ_NOISE
                    else None
                ),
            )
        )
    return Spectrum(
        target="simulated",
        instrument=instrument.name,
        source=instrument.source,
        channels=tuple(channels),
        exposure_start=np.zeros(exposures),
        exposure_seconds=np.full(exposures, float(seconds)),
    )


@partial(jax.jit, static_argnames=("space",))
def _predict(space: ParameterSpace, arrays: ModelArrays, data: Data, z: jax.Array) -> tuple:
    """Source and background counts (n, E, K, B), line photons (n, L), log T, log n, log EM (n,)."""

    def one(point: jax.Array) -> tuple:
        source, background = expected_counts(space, arrays, data, point)
        state = physical(space, arrays.corrections, point)
        photons = line_photons(arrays.bank, state.plasma, state.ln_line_correction)
        log_em = state.plasma.ln_emission_measure / LN10
        return source, background, photons, state.plasma.log_temperature, state.plasma.log_density, log_em

    return jax.vmap(one)(z)


class Simulator:
    """Draws spectra of one instrument.

    Parameters
    ----------
    cache : ModelCache
    instrument : Instrument
    priors : Priors
        Where everything is drawn from.
    exposures : int
    exposure_seconds : float, optional
    gaussian_dem : bool
    """

    def __init__(
        self,
        cache: ModelCache,
        instrument: Instrument,
        priors: Priors | None = None,
        exposures: int = 1,
        exposure_seconds: float | None = None,
        gaussian_dem: bool = False,
    ) -> None:
        self.template = empty_spectrum(instrument, exposures, exposure_seconds)
        self.model: ObservationModel = cache.get(instrument, self.template, priors, gaussian_dem)
        self.groups: LineGroups = line_groups(self.model)
        self.data = pack(self.model, self.template)

    def draw(
        self,
        count: int,
        rng: np.random.Generator,
        signal_to_noise: tuple[float, float] | None = None,
    ) -> Iterator[tuple[Spectrum, Truth]]:
        """Yield spectra with their truths.

        Parameters
        ----------
        count : int
        rng : numpy Generator
        signal_to_noise : (low, high), optional
            Log-uniform range that the emission measure is scaled to reach, the exposure fixed (the mission's data
            set). Without it the emission measure too is drawn from the prior (simulation-based calibration).
        """
        for start in range(0, count, BATCH):
            n = min(BATCH, count - start)
            normal = rng.standard_normal((BATCH, self.model.space.size)).astype(np.float32)
            z = np.array(from_standard_normals(self.model.space, jnp.asarray(normal)))
            source, background, photons, log_t, log_n, log_em = (
                np.asarray(a, np.float64) for a in _predict(self.model.space, self.model.arrays, self.data, z)
            )
            for i in range(n):
                scale = 1.0
                if signal_to_noise is not None:
                    low, high = np.log(signal_to_noise)
                    wanted = float(np.exp(rng.uniform(low, high)))
                    scale = self.scale_to(wanted, source[i], background[i], photons[i])
                    z[i, self.model.space.position("log_amplitude")] += (
                        np.log10(scale) / amplitude_prior(self.model.space)[1]
                    )
                yield self._realise(
                    rng,
                    source[i] * scale,
                    background[i],
                    photons[i] * scale,
                    (float(log_t[i]), float(log_n[i]), float(log_em[i] + np.log10(scale))),
                    z[i],
                )

    def _group_signal_to_noise(self, source: FloatArray, background: FloatArray, photons: FloatArray) -> FloatArray:
        good = self.data.good > 0
        area = (self.data.area * good).sum(axis=0)
        variance = ((source + background + self.data.read_variance) * good).sum(axis=0)
        return self.groups.signal_to_noise(photons, area, variance)

    def signal_to_noise(self, source: FloatArray, background: FloatArray, photons: FloatArray) -> float:
        """S/N per resolution element averaged over the ten strongest line groups.

        Parameters
        ----------
        source, background : (E, K, B) expected counts
        photons : (L,)
        """
        return float(np.sort(self._group_signal_to_noise(source, background, photons))[-STRONGEST_LINES:].mean())

    def scale_to(self, wanted: float, source: FloatArray, background: FloatArray, photons: FloatArray) -> float:
        """Factor of the emission measure that gives a S/N; arguments as for `signal_to_noise`."""
        low, high = -30.0, 30.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            s = np.exp(middle)
            if self.signal_to_noise(source * s, background, photons * s) < wanted:
                low = middle
            else:
                high = middle
        return float(np.exp(0.5 * (low + high)))

    def _erred(self, rng: np.random.Generator, z: FloatArray, source: FloatArray, background: FloatArray) -> FloatArray:
        """Expected counts (E, K, B) with the model's own error, as the likelihood has it: one per bin."""
        # The series that lays lines on bins rings below zero by a hair.
        mu = np.maximum(source + background, 0.0)
        relative = float(model_error(self.model.space, jnp.asarray(z)))
        error = relative * np.asarray(erring_counts(self.model.arrays, source, background), float)
        if self.model.statistic is Statistic.POISSON:
            shape = gain_shape(mu.sum(0), error.sum(0))
            return mu * rng.gamma(shape) / shape
        return np.maximum(mu + error * rng.standard_normal(mu.shape[1:]), 0.0)

    def _realise(
        self,
        rng: np.random.Generator,
        source: FloatArray,
        background: FloatArray,
        photons: FloatArray,
        plasma: tuple[float, float, float],
        z: FloatArray,
    ) -> tuple[Spectrum, Truth]:
        layout = self.model.layout
        noise = rng.poisson(self._erred(rng, z, source, background)).astype(np.float32)
        if self.model.statistic is Statistic.COUNTS_WITH_READ_NOISE:
            noise += rng.normal(size=noise.shape) * np.sqrt(self.data.read_variance)
        region = rng.poisson(background * self.data.background_scale[:, None, None]).astype(np.float32)
        channels = []
        for own, counts, off in zip(
            self.template.channels, layout.from_blocks(noise), layout.from_blocks(region), strict=True
        ):
            channels.append(
                Channel(
                    name=own.name,
                    wavelength_edges=own.wavelength_edges,
                    counts=np.where(own.mask, counts, 0).astype(np.float32),
                    area_exposure=own.area_exposure,
                    mask=own.mask,
                    statistic=own.statistic,
                    background=None if own.background is None else off,
                    background_scale=own.background_scale,
                    read_variance=own.read_variance,
                )
            )
        template = self.template
        spectrum = Spectrum(
            target=f"simulated/{rng.integers(1 << 62):016x}",
            instrument=template.instrument,
            source=template.source,
            channels=tuple(channels),
            exposure_start=template.exposure_start,
            exposure_seconds=template.exposure_seconds,
        )
        groups = self._group_signal_to_noise(source, background, photons)
        truth = Truth(
            log_temperature=plasma[0],
            log_density=plasma[1],
            log_emission_measure=plasma[2],
            signal_to_noise=float(np.sort(groups)[-STRONGEST_LINES:].mean()),
            unknowns=z.copy(),
            line_signal_to_noise=groups,
        )
        return spectrum, truth
