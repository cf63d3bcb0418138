"""Which lines a fit misses, by how much, and what is known about why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from coronium.evaluation.misfit_reasons import Fitted, reasons
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.instruments import get_instrument
from coronium.physics.spectrum import Channel, FloatArray, Spectrum, Statistic

NOT_EXPLAINED = "not explained"


@dataclass(frozen=True)
class Prediction:
    """Posterior-predictive mean of one channel, exposures added up.

    Attributes
    ----------
    mean : (n,) counts
    rebinned : int, bins of the data per bin
    """

    mean: FloatArray
    rebinned: int


@dataclass(frozen=True)
class LineMisfit:
    """One identified line's window: bins within one FWHM of it, all channels and exposures added up.

    Attributes
    ----------
    label, wavelength : str, Angstrom
    observed, predicted : float
        Counts, line and all that lies beneath it.
    residual : float
        (observed - predicted) / sigma, sigma the noise of the predicted counts (with read-out) alone.
    statistic : float
        Contribution to C-stat (Poisson) or chi-square, over `bins`; about one per bin where the model fits.
    bins : int
    why : str
        What is known, or "not explained".
    """

    label: str
    wavelength: float
    observed: float
    predicted: float
    residual: float
    statistic: float
    bins: int
    why: str


def worst_lines(
    observation: Spectrum,
    predictions: Mapping[str, Prediction],
    lines: Sequence[tuple[str, float]],
    fitted: Fitted,
    table: EmissivityTable,
    most: int = 10,
) -> list[LineMisfit]:
    """Rank lines by their windows' statistic per bin.

    Parameters
    ----------
    observation : Spectrum
    predictions : dict of str to Prediction, by channel
    lines : sequence of (label, wavelength in Angstrom)
        The identified ones.
    fitted : Fitted
        Temperature structure of the fit: what multithermality is judged by.
    table : EmissivityTable
    most : int

    Raises
    ------
    ValueError
        A channel without prediction, or of other bins.
    """
    response = {channel.name: channel for channel in get_instrument(observation.instrument).channels}
    channels = [
        (_summed(channel, predictions.get(channel.name)), response[channel.name].fwhm)
        for channel in observation.channels
    ]
    found = []
    for label, wavelength in lines:
        parts = []
        for (centre, *values), fwhm in channels:
            window = np.abs(centre - wavelength) < fwhm
            parts.append(np.array([value[window] for value in values]))
        observed, predicted, variance, statistic = np.concatenate(parts, axis=1)
        if not len(observed) or not variance.sum() > 0:
            continue
        residual = float((observed.sum() - predicted.sum()) / np.sqrt(variance.sum()))
        total, bins = float(statistic.sum()), len(statistic)
        why = reasons(label, wavelength, observation.instrument, fitted, table, residual, total, bins)
        found.append(
            LineMisfit(
                label=label,
                wavelength=wavelength,
                observed=float(observed.sum()),
                predicted=float(predicted.sum()),
                residual=residual,
                statistic=total,
                bins=bins,
                why="; ".join(why) or NOT_EXPLAINED,
            )
        )
    return sorted(found, key=lambda line: -line.statistic / line.bins)[:most]


def _summed(channel: Channel, prediction: Prediction | None) -> tuple[FloatArray, ...]:
    """Centre, observed, predicted, variance and statistic of each usable bin of a channel, exposures added up."""
    if prediction is None:
        raise ValueError(f"The result predicts no channel {channel.name!r}: it is of another observation.")
    starts = np.arange(0, channel.bins, prediction.rebinned)
    if len(starts) != len(prediction.mean):
        raise ValueError(f"Channel {channel.name!r} has {channel.bins} bins, its prediction {len(prediction.mean)}.")

    def total(values: FloatArray) -> FloatArray:
        return np.add.reduceat(np.where(channel.mask, values, 0.0).sum(axis=0, dtype=float), starts)

    sizes = np.diff(np.append(starts, channel.bins))
    # A bin of the prediction that is partly masked has no counterpart in the data.
    usable = total(np.ones(channel.mask.shape)) == sizes * len(channel.mask)
    n, mu = total(channel.counts)[usable], np.maximum(np.asarray(prediction.mean, float)[usable], 1e-9)
    read = np.zeros(len(starts)) if channel.read_variance is None else total(channel.read_variance)
    variance = (0.0 if channel.statistic is Statistic.FLUX else mu) + read[usable]
    if channel.statistic is Statistic.POISSON:
        statistic = 2.0 * (mu - n + xlogy(n, n) - xlogy(n, mu))
    else:
        statistic = (n - mu) ** 2 / variance
    centre = (np.add.reduceat(channel.wavelength, starts) / sizes)[usable]
    return centre, n, mu, variance, statistic
