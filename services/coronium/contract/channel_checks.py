"""What the numbers of one channel must be."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from coronium.contract.conversion import InvalidSpectrum
from coronium.physics.spectrum import Channel, Statistic

WAVELENGTH_RANGE = (1.0, 400.0)
"""Angstrom that the emissivity table covers."""

MAX_LINE_WIDTH = 10.0
"""Angstrom; anything wider resolves no line between 1 and 400 A."""

MAX_VALUE = 1e12
"""Counts, background counts or calibrated values of one bin."""

AREA_RANGE = (1e-30, 1e15)
"""Positive area x exposure of a bin, in any unit that makes counts, or calibrated values, of a rate."""

VARIANCE_RANGE = (1e-37, 1e24)
"""Variance of the noise of a bin."""

SCALE_RANGE = (1e-6, 1e9)
"""BACKSCAL."""

_WHOLE = 1e-3
# A used value this many standard deviations below zero is a missing-value code, not a measurement.
_MISSING = 10.0


def check_channel(channel: Channel) -> None:
    """Check wavelengths, and the values of all bins that may be used.

    Raises
    ------
    InvalidSpectrum
        Something is not what the statistic of the channel needs.
    """
    with np.errstate(all="ignore"):
        _check_wavelengths(channel)
        if not (math.isfinite(channel.line_width) and 0 <= channel.line_width <= MAX_LINE_WIDTH):
            raise InvalidSpectrum(
                f"Channel {channel.name!r}: line_width is {channel.line_width}: give the FWHM in Angstrom "
                f"(at most {MAX_LINE_WIDTH:g}), or 0 for the instrument's."
            )
        _refuse(channel, "counts", ~np.isfinite(channel.counts), "not finite: mask these bins")
        _refuse(
            channel,
            "area_exposure",
            ~(np.isfinite(channel.area_exposure) & (channel.area_exposure >= 0)),
            "not finite or negative: mask these bins",
        )
        _refuse(channel, "counts", np.abs(channel.counts) > MAX_VALUE, f"beyond {MAX_VALUE:g}: use another unit")
        _refuse(
            channel,
            "area_exposure",
            (channel.area_exposure > 0) & ~_within(channel.area_exposure, AREA_RANGE),
            f"not within {_words(AREA_RANGE)}: use another unit, or mask these bins",
        )
        _check_background(channel)
        if channel.statistic is Statistic.POISSON:
            _check_counts(channel)
        else:
            _check_noise(channel)


def _check_wavelengths(channel: Channel) -> None:
    edges = channel.wavelength_edges
    low, high = WAVELENGTH_RANGE
    if not np.isfinite(edges).all():
        raise InvalidSpectrum(f"Channel {channel.name!r}: wavelength_edges are not all finite: give Angstrom.")
    if not (np.diff(edges) > 0).all():
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: wavelength_edges do not increase: sort the bins by wavelength."
        )
    if edges[0] < low or edges[-1] > high:
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: wavelengths reach from {edges[0]:g} to {edges[-1]:g}: give Angstrom "
            f"within {low:g}-{high:g}."
        )


def _check_counts(channel: Channel) -> None:
    for field in ("counts", "background"):
        values = getattr(channel, field)
        if values is None:
            continue
        _refuse(channel, field, values < 0, "negative, which counts cannot be: mask these bins")
        _refuse(
            channel,
            field,
            np.abs(values - np.round(values)) > _WHOLE,
            "no whole numbers, as POISSON needs: publish detected counts, or use the statistic FLUX",
        )
    if channel.read_variance is not None:
        _refuse(
            channel,
            "read_variance",
            ~(channel.read_variance == 0),
            "given although the statistic is POISSON: use COUNTS_WITH_READ_NOISE, or leave it out",
        )


def _check_noise(channel: Channel) -> None:
    if channel.read_variance is None:
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: read_variance is missing: the statistic "
            f"{channel.statistic.name} needs the variance of the noise in every bin."
        )
    _refuse(
        channel,
        "read_variance",
        ~(np.isfinite(channel.read_variance) & (channel.read_variance > 0)),
        "not positive: give the variance of the noise, or mask these bins",
    )
    _refuse(
        channel,
        "read_variance",
        ~_within(channel.read_variance, VARIANCE_RANGE),
        f"not within {_words(VARIANCE_RANGE)}: use another unit, or mask these bins",
    )
    noise = np.sqrt(np.where(channel.mask, channel.read_variance, 1.0))
    _refuse(
        channel,
        "counts",
        channel.counts < -_MISSING * noise,
        f"more than {_MISSING:g} standard deviations below zero: mask missing values",
    )


def _check_background(channel: Channel) -> None:
    if (channel.background is None) != (channel.background_scale is None):
        given, missing = (
            ("background", "background_scale") if channel.background is not None else ("background_scale", "background")
        )
        raise InvalidSpectrum(f"Channel {channel.name!r}: {given} comes without {missing}: give both or neither.")
    if channel.background is None or channel.background_scale is None:
        return
    _refuse(channel, "background", ~np.isfinite(channel.background), "not finite: mask these bins")
    _refuse(channel, "background", np.abs(channel.background) > MAX_VALUE, f"beyond {MAX_VALUE:g}: mask these bins")
    if not _within(channel.background_scale, SCALE_RANGE).all():
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: background_scale is not within {_words(SCALE_RANGE)} everywhere: give "
            "BACKSCAL, the area of the background region over that of the source region."
        )


def _within(values: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.bool_]:
    """Where values are numbers within limits."""
    return (values >= limits[0]) & (values <= limits[1])


def _words(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g}"


def _refuse(channel: Channel, field: str, bad: NDArray[np.bool_], problem: str) -> None:
    """Refuse bins that are bad and yet may be used, naming the first."""
    bad = bad & channel.mask
    if bad.any():
        exposure, position = np.argwhere(bad)[0]
        value = getattr(channel, field)[exposure, position]
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: {int(bad.sum())} values of {field} are {problem} "
            f"(the first, {value:g}, in exposure {exposure} at bin {position})."
        )
