"""Everything a spectrum must be before anyone works on it.

One failed check refuses the spectrum with one sentence that says what to change. Ingestion checks what users
publish, over Kafka and gRPC alike; the stages behind it check again, since anybody may write to their topics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

from coronium.contract.channel_checks import check_channel
from coronium.contract.conversion import InvalidSpectrum, spectrum_from_message
from coronium.contract.limits import (
    MAX_ANNOTATION_BYTES,
    MAX_ANNOTATIONS,
    MAX_BINS,
    MAX_CHANNELS,
    MAX_EXPOSURES,
    MAX_NAME,
)
from coronium.contract.plasma import PLASMA_MODELS
from coronium.physics.instruments.instrument import ChannelResponse
from coronium.physics.instruments.registry import get_instrument, instrument_names
from coronium.physics.spectrum import SourceKind, Spectrum
from coronium.v1 import spectrum_pb2

MAX_WIDTH_DEVIATIONS = 3.0
"""Standard deviations of the width's prior by which a line_width may differ from the instrument's."""

MAX_BINS_PER_WIDTH = 2_000
"""Bins within the full width of an instrument's lines: light is collected from bins that far away."""

SECONDS_RANGE = (1e-6, 1e9)
"""An exposure's time."""

DISTANCE_RANGE = (1e-6, 1e9)
"""Parsec, from a fifth of the Sun's distance to what lies beyond every star that was ever resolved."""

# The largest time that google.protobuf.Timestamp may hold, and the smallest.
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799

_TARGET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+:-]*[A-Za-z0-9._+:-])?(?:/[A-Za-z0-9][A-Za-z0-9._+:-]*)*")

_STATISTICS = {
    spectrum_pb2.STATISTIC_POISSON: "POISSON",
    spectrum_pb2.STATISTIC_COUNTS_WITH_READ_NOISE: "COUNTS_WITH_READ_NOISE",
    spectrum_pb2.STATISTIC_FLUX: "FLUX",
}
_SOURCES = {
    SourceKind.RESOLVED: spectrum_pb2.SOURCE_KIND_RESOLVED,
    SourceKind.STAR: spectrum_pb2.SOURCE_KIND_STAR,
}


class UnknownInstrument(InvalidSpectrum):
    """No fit of the stream could be made of the spectrum: nobody knows its instrument."""


def check_spectrum(message: spectrum_pb2.Spectrum) -> Spectrum:
    """Check a spectrum, and set its source from the instrument where it says none.

    Parameters
    ----------
    message : spectrum_pb2.Spectrum
        `source` may be changed; nothing else is.

    Returns
    -------
    Spectrum
        Its arrays.

    Raises
    ------
    InvalidSpectrum
        Something is not as it must be; `UnknownInstrument` where that is the instrument.
    """
    # Numbers of things first: what comes after them takes time in proportion.
    _check_counts(message)
    _check_names(message)
    _check_instrument(message)
    return check_contents(message)


def check_contents(message: spectrum_pb2.Spectrum) -> Spectrum:
    """Check what must be true of a spectrum whatever its instrument, even of one that nobody knows.

    Parameters
    ----------
    message : spectrum_pb2.Spectrum

    Returns
    -------
    Spectrum
        Its arrays: finite, of one shape, with something in them to fit.

    Raises
    ------
    InvalidSpectrum
    """
    _check_counts(message)
    _check_names(message)
    _check_exposures(message.exposures)
    spectrum = spectrum_from_message(message)
    for channel in spectrum.channels:
        check_channel(channel)
    _check_backgrounds(spectrum)
    if not any((channel.mask & (channel.area_exposure > 0)).any() for channel in spectrum.channels):
        raise InvalidSpectrum(
            "No bin is both unmasked and of positive area_exposure: nothing is left to fit, "
            "check the mask (1 = use) and the area."
        )
    return spectrum


def _check_backgrounds(spectrum: Spectrum) -> None:
    """Refuse background regions that the channels do not share: a fit takes one scale an exposure for all of them."""
    scales = [channel.background_scale for channel in spectrum.channels]
    given = [scale for scale in scales if scale is not None]
    if given and (len(given) < len(scales) or any((scale != given[0]).any() for scale in given)):
        raise InvalidSpectrum(
            "The channels differ in their background regions: give all of them a background with the same "
            "background_scale per exposure, or publish them as several spectra."
        )


def _check_names(message: spectrum_pb2.Spectrum) -> None:
    if not message.target:
        raise InvalidSpectrum("target is empty: name the star, or the place (sun/ar12807/x012y007).")
    if len(message.target) > MAX_NAME or not _TARGET.fullmatch(message.target):
        raise InvalidSpectrum(
            f"target {message.target[:80]!r} is not a target name: use at most {MAX_NAME} letters, digits, "
            "spaces and . _ + : - in parts separated by /."
        )
    if not message.instrument:
        raise InvalidSpectrum(f"instrument is empty: name one ({', '.join(instrument_names())}).")
    names = [message.instrument, message.name, *(exposure.name for exposure in message.exposures)]
    names += (channel.name for channel in message.channels)
    for name in names:
        if len(name) > MAX_NAME or not (name.isprintable() or not name):
            raise InvalidSpectrum(f"The name {name[:80]!r} is not at most {MAX_NAME} printable characters: shorten it.")
    if message.plasma_model not in spectrum_pb2.PlasmaModel.values():
        raise InvalidSpectrum(f"plasma_model {message.plasma_model} does not exist: use {' or '.join(PLASMA_MODELS)}.")
    near, far = DISTANCE_RANGE
    if message.distance_pc != 0 and not near <= message.distance_pc <= far:
        raise InvalidSpectrum(
            f"distance_pc is {message.distance_pc}: give parsecs from {near:g} to {far:g}, or 0 when unknown."
        )
    _check_annotations(message)


def _check_annotations(message: spectrum_pb2.Spectrum) -> None:
    used = sum(len(key.encode()) + len(value.encode()) for key, value in message.annotations.items())
    if len(message.annotations) > MAX_ANNOTATIONS or used > MAX_ANNOTATION_BYTES:
        raise InvalidSpectrum(
            f"There are {len(message.annotations)} annotations of {used} bytes: at most {MAX_ANNOTATIONS} of "
            f"{MAX_ANNOTATION_BYTES} bytes in all may travel with a spectrum."
        )


def _check_counts(message: spectrum_pb2.Spectrum) -> None:
    if not 1 <= len(message.exposures) <= MAX_EXPOSURES:
        raise InvalidSpectrum(f"There are {len(message.exposures)} exposures: give 1 to {MAX_EXPOSURES}.")
    if not 1 <= len(message.channels) <= MAX_CHANNELS:
        raise InvalidSpectrum(f"There are {len(message.channels)} channels: give 1 to {MAX_CHANNELS}.")
    names = [channel.name for channel in message.channels]
    for channel in message.channels:
        if not channel.name or names.count(channel.name) > 1:
            raise InvalidSpectrum(f"Channel name {channel.name[:80]!r} is empty or used twice: give each its own name.")
        if len(channel.wavelength_edges) > MAX_BINS + 1:
            raise InvalidSpectrum(
                f"Channel {channel.name[:80]!r} has {len(channel.wavelength_edges)} wavelength_edges: "
                f"at most {MAX_BINS} bins are taken, rebin."
            )


def _check_exposures(exposures: Iterable[spectrum_pb2.Exposure]) -> None:
    shortest, longest = SECONDS_RANGE
    for index, exposure in enumerate(exposures):
        if not shortest <= exposure.seconds <= longest:
            raise InvalidSpectrum(
                f"Exposure {index} lasts {exposure.seconds} seconds: give a time from {shortest:g} to {longest:g} s."
            )
        start = exposure.start
        if not (_EARLIEST <= start.seconds <= _LATEST and 0 <= start.nanos < 1_000_000_000):
            raise InvalidSpectrum(f"The start of exposure {index} is no valid time: set it, or leave it out.")


def _check_instrument(message: spectrum_pb2.Spectrum) -> None:
    """Refuse what no fit of the stream could be made of: another instrument, channel, line width or mixture."""
    if message.instrument not in instrument_names():
        raise UnknownInstrument(
            f"Instrument {message.instrument!r} is not known: the stream fits {', '.join(instrument_names())}; fit "
            "others in Python with coronium.fit, after register_instrument.",
        )
    instrument = get_instrument(message.instrument)
    known = {channel.name: channel for channel in instrument.channels}
    for channel in message.channels:
        if channel.name not in known:
            raise InvalidSpectrum(
                f"Channel {channel.name!r} is none of {instrument.name}'s: name it as there "
                f"({', '.join(sorted(known))})."
            )
        _check_line_width(channel, known[channel.name])
        _check_grid(channel, known[channel.name])
    statistics = {_STATISTICS[c.statistic] for c in message.channels if c.statistic in _STATISTICS}
    if len(statistics) > 1:
        raise InvalidSpectrum(
            f"The channels have different statistics ({', '.join(sorted(statistics))}): publish those of one "
            "statistic as a spectrum of their own."
        )
    if message.source == spectrum_pb2.SOURCE_KIND_UNSPECIFIED:
        message.source = _SOURCES[instrument.source]


def _check_line_width(channel: spectrum_pb2.Channel, known: ChannelResponse) -> None:
    """Refuse a width that the fit, which infers it around the instrument's own, could not come to."""
    if not channel.line_width > 0:
        return
    deviation = abs(math.log(channel.line_width / known.fwhm))
    if deviation > MAX_WIDTH_DEVIATIONS * known.fwhm_log_sd:
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: line_width is {channel.line_width:g} and the instrument's lines have "
            f"{known.fwhm:g} Angstrom: give 0, the fit infers the width around the instrument's."
        )


def _check_grid(channel: spectrum_pb2.Channel, known: ChannelResponse) -> None:
    """Refuse bins that the instrument's lines could not tell apart, and a grid that misses the channel."""
    edges = channel.wavelength_edges
    if len(edges) < 2:
        # Said better where the shapes are compared.
        return
    size = float(np.median(np.diff(np.array(edges))))
    if 0 < size < known.fwhm / MAX_BINS_PER_WIDTH:
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: its bins of {size:g} Angstrom are more than {MAX_BINS_PER_WIDTH} to a line of "
            f"{known.fwhm:g} Angstrom: rebin."
        )
    low, high = known.wavelength_edges[0], known.wavelength_edges[-1]
    if edges[-1] <= low or edges[0] >= high:
        raise InvalidSpectrum(
            f"Channel {channel.name!r}: its wavelengths from {edges[0]:g} to {edges[-1]:g} are none of the "
            f"instrument's, {low:g}-{high:g} Angstrom: name the channel that they belong to."
        )
