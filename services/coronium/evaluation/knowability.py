"""What a spectrum can know before it is taken: sd(log n) and sd(log T) by Fisher information over (T, n, S/N)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from coronium.inference.likelihood import fisher, variance
from coronium.inference.summaries import UNCONSTRAINED_SD
from coronium.physics.forward import line_photons
from coronium.physics.instruments import get_instrument
from coronium.physics.observation_model import ModelArrays, ModelCache, expected_counts
from coronium.physics.parameters import Priors, amplitude_prior
from coronium.physics.simulator import Simulator
from coronium.physics.spectrum import FloatArray

SIGNAL_TO_NOISE = (2.0, 5.0, 10.0)
TEMPERATURES = np.linspace(5.9, 7.3, 15)
DENSITIES = np.linspace(8.25, 11.75, 15)
UNIFORM_SD = 1.0 / np.sqrt(12.0)
PLASMA = ("log_temperature", "log_density", "log_amplitude")
TELLING_LINES = 3


@dataclass(frozen=True)
class Map:
    """Posterior standard deviations over temperature and density at one S/N, dex.

    Attributes
    ----------
    log_temperature, log_density : (T,), (N,)
    log_density_sd, log_temperature_sd : (T, N)
    density_prior_sd : float
    lines : tuple of str
        Lines that say most of the density where it is known best.
    """

    instrument: str
    signal_to_noise: float
    log_temperature: FloatArray
    log_density: FloatArray
    log_density_sd: FloatArray
    log_temperature_sd: FloatArray
    density_prior_sd: float
    lines: tuple[str, ...]

    @property
    def limit(self) -> float:
        """The sd of log n above which a density is published as unconstrained."""
        return UNCONSTRAINED_SD * self.density_prior_sd


class Point(NamedTuple):
    """One plasma at one S/N.

    Attributes
    ----------
    z : (D,) unknowns, all but temperature, density and amplitude at their prior's centre
    information : (D, D) of data and prior together; temperature and density in dex
    """

    z: FloatArray
    information: FloatArray


class Observatory:
    """An instrument about to observe: Fisher information of the model that fits use, all unknowns free.

    Parameters
    ----------
    simulator : Simulator
        Its prior is the prior. Temperature and density enter with a Gaussian of the uniform prior's variance, which
        is what makes the sd of an unconstrained quantity that of its prior.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.model = simulator.model
        self._data = jax.tree.map(jnp.asarray, simulator.data)
        self._arrays = jax.tree.map(jnp.asarray, self.model.arrays)
        space, statistic, data = self.model.space, self.model.statistic, self._data

        @jax.jit
        def counts(z: jax.Array, arrays: ModelArrays) -> tuple[jax.Array, jax.Array, jax.Array]:
            source, background = expected_counts(space, arrays, data, z)
            state = self.model.state(z)
            return source, background, line_photons(arrays.bank, state.plasma, state.ln_line_correction)

        self._counts = counts

        def mean(z: jax.Array, arrays: ModelArrays) -> jax.Array:
            source, background = expected_counts(space, arrays, data, z)
            return (source + background)[0]

        self._mean, self._slopes = jax.jit(mean), jax.jit(jax.jacfwd(mean))
        self._fisher = jax.jit(lambda z, arrays: fisher(space, statistic, arrays, data, z))

    def at(self, log_temperature: float, log_density: float, signal_to_noise: float) -> Point:
        """The information that a spectrum of this plasma would hold, its emission measure scaled to reach the S/N."""
        space = self.model.space
        bounds = {"log_temperature": space.priors.log_temperature, "log_density": space.priors.log_density}
        z = np.zeros(space.size, np.float32)
        slope, prior = np.ones(space.size), np.ones(space.size)
        for name, value in (("log_temperature", log_temperature), ("log_density", log_density)):
            (low, high), at = bounds[name], space.position(name)
            latent = norm.ppf((value - low) / (high - low))
            z[at] = latent
            slope[at] = 1.0 / ((high - low) * norm.pdf(latent))
            prior[at] = 1.0 / (UNIFORM_SD * (high - low)) ** 2
        source, background, photons = (np.asarray(a, float) for a in self._counts(jnp.asarray(z), self._arrays))
        scale = self.simulator.scale_to(signal_to_noise, source, background, photons)
        z[space.position("log_amplitude")] += np.log10(scale) / amplitude_prior(space)[1]
        data = np.asarray(self._fisher(jnp.asarray(z), self._arrays), float) * np.outer(slope, slope)
        return Point(z, data + np.diag(prior))

    def sd(self, point: Point, free: tuple[str, ...] | None = None) -> tuple[float, float]:
        """Posterior sd of log T and log n, dex, with all unknowns free, or those named alone."""
        names = self.model.space.names
        kept = [i for i, name in enumerate(names) if free is None or name in free]
        covariance = np.linalg.inv(point.information[np.ix_(kept, kept)])
        at = [kept.index(names.index(name)) for name in ("log_temperature", "log_density")]
        return float(np.sqrt(covariance[at[0], at[0]])), float(np.sqrt(covariance[at[1], at[1]]))

    def telling_lines(self, point: Point) -> tuple[str, ...]:
        """Labels of the lines that say most of the density once all other unknowns have had their say.

        Each stands for its blend: it is the strongest within a line's width in this plasma. Of each bin the squared
        efficient score counts: what of d counts / d log n no other unknown can imitate, over the variance (the model's
        own error left out).
        """
        space, catalogue = self.model.space, self.model.catalogue
        at = space.position("log_density")
        others = np.delete(np.arange(space.size), at)

        z = jnp.asarray(point.z)
        slopes = np.array(self._slopes(z, self._arrays), float)
        mu = self._mean(z, self._arrays)
        low, high = space.priors.log_temperature
        slopes[..., space.position("log_temperature")] /= (high - low) * norm.pdf(
            point.z[space.position("log_temperature")]
        )
        low, high = space.priors.log_density
        slopes[..., at] /= (high - low) * norm.pdf(point.z[at])
        imitation = np.linalg.solve(point.information[np.ix_(others, others)], point.information[others, at])
        score = slopes[..., at] - slopes[..., others] @ imitation
        data = self.simulator.data
        told = score**2 * data.good[0] / np.asarray(variance(self.model.statistic, mu, data.read_variance[0]))
        photons = np.asarray(self._counts(z, self._arrays)[2], float)
        centre, fwhm = self._bins()
        found: list[str] = []
        for _ in range(TELLING_LINES):
            at_bin = np.unravel_index(np.argmax(told), told.shape)
            near = np.abs(catalogue.wavelength - centre[at_bin]) < fwhm[at_bin]
            line = int(np.argmax(photons * near))
            found.append(str(catalogue.label[line]))
            told = np.where(np.abs(centre - catalogue.wavelength[line]) < fwhm, 0.0, told)
            told[at_bin] = 0.0
        return tuple(dict.fromkeys(found))

    def _bins(self) -> tuple[FloatArray, FloatArray]:
        """Wavelength of every bin and width of a line there, (K, B) Angstrom each; infinite past a channel's end."""
        layout = self.model.layout
        centre = np.full((layout.blocks, layout.bins), np.inf)
        fwhm = np.empty((layout.blocks, 1))
        for k, (c, first) in enumerate(zip(layout.block_channel, layout.first_bin, strict=True)):
            edges = self.model.edges[c][first : first + layout.bins + 1]
            centre[k, : len(edges) - 1] = 0.5 * (edges[1:] + edges[:-1])
            fwhm[k] = self.model.instrument.channels[c].fwhm
        return centre, np.broadcast_to(fwhm, centre.shape)


def maps(instrument: str, cache: ModelCache, priors: Priors | None = None) -> Iterator[Map]:
    """Maps of one preset at each S/N."""
    observatory = Observatory(Simulator(cache, get_instrument(instrument), priors))
    low, high = observatory.model.space.priors.log_density
    for level in SIGNAL_TO_NOISE:
        points = [[observatory.at(t, n, level) for n in DENSITIES] for t in TEMPERATURES]
        sd = np.array([[observatory.sd(point) for point in row] for row in points])
        best = np.unravel_index(np.argmin(sd[..., 1]), sd.shape[:2])
        yield Map(
            instrument=instrument,
            signal_to_noise=level,
            log_temperature=TEMPERATURES,
            log_density=DENSITIES,
            log_density_sd=sd[..., 1],
            log_temperature_sd=sd[..., 0],
            density_prior_sd=float(UNIFORM_SD * (high - low)),
            lines=observatory.telling_lines(points[best[0]][best[1]]),
        )
