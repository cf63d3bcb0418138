"""What the posterior predicts for the data, and whether the data look like it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import nbinom, norm

from coronium.inference.engine import Predictions
from coronium.physics.observation_model import Data, ObservationModel
from coronium.physics.spectrum import Spectrum, Statistic

MOST_BINS = 640
"""Bins of a band over all channels; more are added up in neighbours."""
LEVELS = (0.16, 0.5, 0.84)


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
