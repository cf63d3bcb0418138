"""The hand method for the density of an active region: the ratio of Fe XII 186.88 to 192.39."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit

from coronium.physics.spectrum import Channel, FloatArray, Spectrum

HC = 1.986445857e-8
"""Planck constant x speed of light, erg Angstrom (CODATA 2018)."""

FIT_HALF_RANGE = 0.18
"""Bins this near to a fitted line, Angstrom, take part; beyond it other lines begin."""

FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))


class LineRatio(NamedTuple):
    """A ratio of two line radiances (energy, not photons) with its standard error."""

    ratio: float
    error: float


class LineFit(NamedTuple):
    """Radiance of one line, erg cm-2 s-1 sr-1, its standard error, centre and FWHM in Angstrom."""

    radiance: float
    error: float
    centre: float
    fwhm: float


def fe12_ratio_density(spectrum: Spectrum) -> LineRatio:
    """Ratio of Fe XII (186.854 + 186.887) to Fe XII 192.394, the plain method's measure of density.

    Single Gaussians on a constant background are fitted to the calibrated spectrum, with a second one for
    Fe VIII 186.60; the ratio rises from 0.1 to 1 between log n = 8 and 11. It stands beside the posterior as
    a check and is used by none of it.

    Parameters
    ----------
    spectrum : Spectrum
        A `hinode-eis` macropixel of one exposure.

    Returns
    -------
    LineRatio
        NaN where a window is masked or the fit does not converge.
    """
    channels = {channel.name: channel for channel in spectrum.channels}
    dense = fit_line(channels["fe-12-187"], 186.88, neighbours=(186.60,))
    reference = fit_line(channels["fe-12-192"], 192.394)
    ratio = dense.radiance / reference.radiance
    return LineRatio(ratio, abs(ratio) * np.hypot(dense.error / dense.radiance, reference.error / reference.radiance))


def fit_line(channel: Channel, centre: float, neighbours: tuple[float, ...] = ()) -> LineFit:
    """Fit a Gaussian of free position and width to one line of the first exposure.

    Parameters
    ----------
    channel : Channel
    centre : float
        Laboratory wavelength, Angstrom; the line may lie 0.05 A off.
    neighbours : tuple of float
        Lines fitted beside it with the same width and shift.

    Returns
    -------
    LineFit
        All NaN where fewer bins than parameters are usable or the fit fails.
    """
    lines = np.array([centre, *neighbours])
    near = np.abs(channel.wavelength[:, None] - lines).min(axis=1) < FIT_HALF_RANGE
    use = channel.mask[0] & near
    wavelength = channel.wavelength[use]
    width = np.diff(channel.wavelength_edges)[use]
    # Counts -> energy radiance per Angstrom.
    factor = HC / wavelength / (channel.area_exposure[0][use].astype(float) * width)
    counts = channel.counts[0][use].astype(float)
    noise = np.sqrt(np.maximum(counts, 0) + (0 if channel.read_variance is None else channel.read_variance[0][use]))
    missing = LineFit(np.nan, np.nan, np.nan, np.nan)
    if len(wavelength) < len(lines) + 3:
        return missing

    def model(x: FloatArray, shift: float, fwhm: float, background: float, *peaks: float) -> FloatArray:
        offset = (x[:, None] - lines - shift) / (fwhm * FWHM_TO_SIGMA)
        return background + np.exp(-0.5 * offset**2) @ np.array(peaks)

    values = counts * factor
    floor = float(np.percentile(values, 20))
    peak = max(float(values.max()) - floor, 1e-3)
    start = [0.0, 0.075, floor, peak, *[0.1 * peak] * len(neighbours)]
    bounds = ([-0.05, 0.05, -np.inf] + [-np.inf] * len(lines), [0.05, 0.12, np.inf] + [np.inf] * len(lines))
    try:
        fitted, covariance = curve_fit(
            model,
            wavelength,
            values,
            start,
            np.maximum(noise, 1.0) * factor,
            absolute_sigma=True,
            bounds=bounds,
        )
    except RuntimeError:
        return missing
    area = np.sqrt(2 * np.pi) * FWHM_TO_SIGMA
    gradient = np.zeros(len(fitted))
    gradient[1], gradient[3] = area * fitted[3], area * fitted[1]
    return LineFit(
        radiance=area * fitted[1] * fitted[3],
        error=float(np.sqrt(gradient @ covariance @ gradient)),
        centre=centre + fitted[0],
        fwhm=fitted[1],
    )
