"""Which lines the data hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from coronium.inference.predictive import Predictions
from coronium.physics.line_groups import LineGroups, line_share
from coronium.physics.observation_model import Data, ObservationModel, gain_shape
from coronium.physics.spectrum import Statistic

IDENTIFIED_PROBABILITY = 0.9
IDENTIFIED_SIGNAL_TO_NOISE = 3.0
REACH = 2.0
"""A line is looked for within so many widths of its place."""


@dataclass(frozen=True)
class Line:
    """An emission line or blend.

    Attributes
    ----------
    wavelength : Angstrom
    probability : that the data hold this line, given everything else and even odds
    flux, flux_error : photons cm-2 s-1 (sr-1)
    signal_to_noise : predicted by the posterior
    identified : probability >= 0.9 and signal to noise >= 3
    """

    label: str
    wavelength: float
    theoretical: bool
    probability: float
    flux: float
    flux_error: float
    signal_to_noise: float
    identified: bool


def identified_lines(model: ObservationModel, groups: LineGroups, data: Data, predictions: Predictions) -> list[Line]:
    """Which lines the data hold.

    The probability of a line compares, draw by draw, the likelihood of the data with the line and without it, all else
    as the draw has it, its line-spread function, calibration and model error too, at even odds. Exposures are added up.
    """
    good = np.asarray(data.good).sum(0) > 0
    area = (np.asarray(data.area) * np.asarray(data.good)).sum(0)
    read = (np.asarray(data.read_variance) * np.asarray(data.good)).sum(0)
    mean, photons = predictions.mean, predictions.photons
    flux = photons @ groups.membership.T
    probability = _probabilities(model, groups, data, predictions, good, read)
    signal = groups.signal_to_noise(photons.mean(0), area, np.where(good, mean.mean(0) + read, 0.0))
    # A line whose window the data do not cover cannot be said to be there.
    signal = np.where([(w & good).any() for w in groups.window], signal, 0.0)
    # A blend is called by the member that shines most in this plasma.
    shining = np.argmax(groups.membership * photons.mean(0), axis=1)
    catalogue = model.catalogue
    return [
        Line(
            label=(catalogue.label[shining[g]] or groups.label[g].rstrip("+")) + ("+" if groups.blended[g] else ""),
            wavelength=float(catalogue.wavelength[shining[g]]),
            theoretical=bool(catalogue.theoretical[shining[g]]),
            probability=float(probability[g]),
            flux=float(np.median(flux[:, g])),
            flux_error=float(np.std(flux[:, g])),
            signal_to_noise=float(signal[g]),
            identified=bool(probability[g] >= IDENTIFIED_PROBABILITY and signal[g] >= IDENTIFIED_SIGNAL_TO_NOISE),
        )
        for g in range(len(groups.label))
    ]


def _probabilities(
    model: ObservationModel,
    groups: LineGroups,
    data: Data,
    predictions: Predictions,
    good: NDArray[np.bool_],
    read: NDArray,
) -> NDArray[np.float64]:
    """Probability of each group, (G,)."""
    layout, expected = model.layout, predictions.expected
    counts, covered, noise = (
        layout.from_blocks(x)
        for x in ((np.asarray(data.counts) * np.asarray(data.good)).sum(0), good, np.asarray(read, float))
    )
    means, errors, sensitivity = (
        layout.from_blocks(np.asarray(x, float))
        for x in (predictions.mean, np.sqrt(predictions.model_variance), expected.sensitivity)
    )
    relative = np.asarray(expected.model_error, float)[:, None]
    fwhm, shift = np.asarray(expected.fwhm, float), np.asarray(expected.shift, float)
    # A group lies where its members shine in this draw, and in one where none shines anywhere it has them.
    weight = predictions.photons[:, None, :].astype(float) * groups.membership
    flux = weight.sum(-1)
    bright = flux > 0
    place = np.where(bright, (weight @ model.catalogue.wavelength) / np.where(bright, flux, 1.0), groups.wavelength)
    gain = np.zeros(flux.shape)
    for c, edges in enumerate(model.edges):
        widest = float(fwhm[:, c].max())
        for g in range(flux.shape[1]):
            near = REACH * widest + np.abs(shift[:, c]).max()
            low, high = np.searchsorted(edges, (place[:, g].min() - near, place[:, g].max() + near))
            bins = np.arange(max(low - 1, 0), min(high, len(edges) - 1))
            bins = bins[covered[c][bins]] if len(bins) else bins
            if not len(bins):
                continue
            share = line_share(edges[bins[0] : bins[-1] + 2], place[:, g] + shift[:, c], fwhm[:, c], layout.profile)
            line = flux[:, g, None] * share[:, bins - bins[0]] * sensitivity[c][:, bins]
            with_line = np.maximum(means[c][:, bins], 1e-8)
            without = np.maximum(with_line - line, 1e-3 * with_line)
            error = errors[c][:, bins]
            error_without = np.maximum(error - relative * (with_line - without), 0.0)
            n, r = counts[c][bins], noise[c][bins]
            gain[:, g] += (_log(model, n, with_line, r, error) - _log(model, n, without, r, error_without)).sum(1)
    return (1.0 / (1.0 + np.exp(-np.clip(gain, -60, 60)))).mean(axis=0)


def _log(model: ObservationModel, n: NDArray, mu: NDArray, read: NDArray, error: NDArray) -> NDArray:
    """Log-likelihood per bin of counts summed over exposures, as `likelihood.pointwise` has it, up to terms in n."""
    if model.statistic is Statistic.POISSON:
        shape = gain_shape(mu, error)
        # ln Gamma(n + shape) - ln Gamma(shape) cancels badly where the shape is large: there it is n ln(shape).
        rising = np.where(shape > 1e6, n * np.log(shape), gammaln(n + shape) - gammaln(shape))
        return rising + n * np.log(mu / (mu + shape)) - shape * np.log1p(mu / shape)
    shot = 0.0 if model.statistic is Statistic.FLUX else mu
    v = shot + read + error**2 + 1e-30
    return -0.5 * ((n - mu) ** 2 / v + np.log(v))
