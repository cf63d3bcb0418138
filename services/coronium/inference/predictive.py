"""What the posterior predicts for the data, and whether the data look like it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import nbinom, norm

from coronium.inference.finite import require_finite
from coronium.inference.likelihood import pointwise
from coronium.inference.programs import Expected
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ObservationModel
from coronium.physics.spectrum import Spectrum, Statistic

MOST_BINS = 640
"""Bins of a band over all channels; more are added up in neighbours."""
LEVELS = (0.16, 0.5, 0.84)
MOST_COUNTS = 1e15
"""Of a bin of a replicate: numpy draws no larger ones, and a wild draw of an unconverged chain may ask for them."""


class Predictions(NamedTuple):
    """For R draws of one spectrum (numpy).

    Attributes
    ----------
    mean : (R, K, B) expected counts, exposures summed
    replicate : (R, K, B) counts drawn from them
    photons : (R, L)
    model_variance : (R, K, B) variance of the summed counts that the model's own error adds
    expected : Expected
        What the replicates were drawn from, (R, ...).
    statistic, replicate_statistic : (R,) -2 ln likelihood of the data and of the replicates, saturated subtracted, for
        the noise alone: the model's error is inferred from the data and would excuse any misfit
    """

    mean: Array
    replicate: Array
    photons: Array
    model_variance: Array
    expected: Expected
    statistic: Array
    replicate_statistic: Array


@partial(jax.jit, static_argnames=("statistic",))
def _deviance(statistic: Statistic, data: Data, source: Array, background: Array) -> Array:
    """-2 ln likelihood of R draws (R,) for the noise alone; observed data (E, K, B), or copies (R, E, K, B) of them."""

    def one(observed: Data, source: Array, background: Array) -> Array:
        on, off = pointwise(statistic, observed, source, background)
        return -2.0 * (jnp.sum(on, dtype=jnp.float64) + jnp.sum(off, dtype=jnp.float64))

    copies = data.counts.ndim == source.ndim
    axes = Data(*(0 if copies and name in ("counts", "background") else None for name in Data._fields))
    return jax.vmap(one, (axes, 0, 0))(data, source, background)


def predictions(statistic: Statistic, data: Data, expected: Expected, seed: int) -> Predictions:
    """Replicate one observation from R draws, and compare it with its replicates.

    Parameters
    ----------
    data : Data
        One observation, (E, K, B).
    expected : Expected
        (R, ...)

    Raises
    ------
    NoFiniteAnswer
        What is expected is no number.
    """
    rng = np.random.default_rng([seed % 2**63, 2])
    good, read = np.asarray(data.good), np.asarray(data.read_variance)
    source, background = np.asarray(expected.source), np.asarray(expected.background)
    require_finite(source, background)
    mu = (source + background) * good
    counts = mu if statistic is Statistic.FLUX else rng.poisson(np.clip(mu, 1e-8, MOST_COUNTS))
    counts = (counts + rng.standard_normal(mu.shape) * np.sqrt(read)).astype(np.float32)
    scale = np.asarray(data.background_scale)[:, None, None]
    region = rng.poisson(np.clip(background * scale, 1e-8, MOST_COUNTS)).astype(np.float32)
    copy = data._replace(counts=counts, background=region)
    return Predictions(
        mean=mu.sum(1),
        replicate=(counts * good).sum(1),
        photons=np.asarray(expected.photons),
        model_variance=(np.asarray(expected.error) * good).sum(1) ** 2,
        expected=expected,
        statistic=np.asarray(_deviance(statistic, data, source, background)),
        replicate_statistic=np.asarray(_deviance(statistic, copy, source, background)),
    )


@dataclass(frozen=True)
class Band:
    """Posterior-predictive band of one channel, exposures added up.

    Attributes
    ----------
    wavelength : (n,) Angstrom
    lower, median, upper : (n,) counts: 16, 50 and 84 % of what would be observed
    rebinned : int, bins of the data per bin of the band
    """

    name: str
    wavelength: NDArray[np.float32]
    lower: NDArray[np.float32]
    median: NDArray[np.float32]
    upper: NDArray[np.float32]
    rebinned: int


@dataclass(frozen=True)
class GoodnessOfFit:
    """Statistic of the data next to what the posterior expects of it.

    Attributes
    ----------
    statistic : mean over the posterior of -2 ln likelihood (C-stat where Poisson)
    expected, deviation : of replicated data
    probability : two-sided tail probability
    """

    statistic: float
    expected: float
    deviation: float
    probability: float


def goodness_of_fit(predictions: Predictions) -> GoodnessOfFit:
    """Posterior-predictive check of the likelihood statistic (Gelman, Meng & Stern 1996, Stat. Sinica 6, 733).

    Compared draw by draw, so that the posterior's own spread cancels.
    """
    difference = predictions.statistic - predictions.replicate_statistic
    deviation = max(float(np.std(difference, ddof=1)), 1e-9)
    score = float(np.mean(difference)) / deviation
    return GoodnessOfFit(
        statistic=float(predictions.statistic.mean()),
        expected=float(predictions.replicate_statistic.mean()),
        deviation=deviation,
        probability=float(2.0 * ndtr(-abs(score))),
    )


def predictive_bands(model: ObservationModel, data: Data, predictions: Predictions, spectrum: Spectrum) -> list[Band]:
    """Bands per channel, rebinned so that all together stay below `MOST_BINS`."""
    layout = model.layout
    factor = max(1, -(-sum(layout.channel_bins) // MOST_BINS))
    means = layout.from_blocks(predictions.mean)
    read = layout.from_blocks((np.asarray(data.read_variance) * np.asarray(data.good)).sum(0))
    errors = layout.from_blocks(predictions.model_variance.mean(0))
    bands = []
    for channel, mean, noise, error in zip(spectrum.channels, means, read, errors, strict=True):
        count = -(-channel.bins // factor)
        starts = np.arange(count) * factor
        summed = np.add.reduceat(mean, starts, axis=-1)
        extra = np.add.reduceat(noise, starts)
        wavelength = np.add.reduceat(channel.wavelength, starts) / np.diff(np.append(starts, channel.bins))
        centre, spread = summed.mean(0), summed.var(0) + np.add.reduceat(error, starts)
        if model.statistic is Statistic.POISSON:
            # Poisson counts with a gamma-distributed mean are negative-binomial.
            size = np.maximum(centre, 1e-6) ** 2 / np.maximum(spread, 1e-6 * np.maximum(centre, 1e-6))
            bands_at = [nbinom.ppf(q, size, size / (size + np.maximum(centre, 1e-6))) for q in LEVELS]
        else:
            shot = 0.0 if model.statistic is Statistic.FLUX else centre
            bands_at = [norm.ppf(q, centre, np.sqrt(spread + shot + extra + 1e-30)) for q in LEVELS]
        lower, _, upper = (np.nan_to_num(b).astype(np.float32) for b in bands_at)
        bands.append(Band(channel.name, wavelength.astype(np.float32), lower, centre.astype(np.float32), upper, factor))
    return bands
