"""Spectra as messages and messages as spectra, without loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from coronium.physics.spectrum import Channel, FloatArray, SourceKind, Spectrum, Statistic
from coronium.v1 import spectrum_pb2

_STATISTICS = {
    Statistic.POISSON: spectrum_pb2.STATISTIC_POISSON,
    Statistic.COUNTS_WITH_READ_NOISE: spectrum_pb2.STATISTIC_COUNTS_WITH_READ_NOISE,
    Statistic.FLUX: spectrum_pb2.STATISTIC_FLUX,
}
_SOURCES = {
    SourceKind.RESOLVED: spectrum_pb2.SOURCE_KIND_RESOLVED,
    SourceKind.STAR: spectrum_pb2.SOURCE_KIND_STAR,
}
_STATISTICS_BACK = {number: statistic for statistic, number in _STATISTICS.items()}
_SOURCES_BACK = {number: source for source, number in _SOURCES.items()}

_NANOSECONDS = 1_000_000_000
# The span that google.protobuf.Timestamp may hold: 0001-01-01 to 9999-12-31.
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799


class InvalidSpectrum(ValueError):
    """A spectrum that cannot be what its sender meant; the text is one sentence that says what to change."""


def spectrum_to_message(spectrum: Spectrum) -> spectrum_pb2.Spectrum:
    """Write a spectrum as the message that users publish.

    Parameters
    ----------
    spectrum : Spectrum

    Returns
    -------
    spectrum_pb2.Spectrum
        `spectrum_from_message` gives back equal arrays; start times are kept to the nanosecond.

    Raises
    ------
    InvalidSpectrum
        An array does not have the shape that its channel declares.
    """
    if len(spectrum.exposure_start) != spectrum.exposures:
        raise InvalidSpectrum(
            f"exposure_start has {len(spectrum.exposure_start)} values for {spectrum.exposures} exposures: "
            "give one start (0 when unknown) per exposure."
        )
    message = spectrum_pb2.Spectrum(
        target=spectrum.target,
        instrument=spectrum.instrument,
        source=_SOURCES[spectrum.source],
        distance_pc=spectrum.distance_pc or 0.0,
        name=spectrum.name,
        annotations=spectrum.annotations,
    )
    for start, seconds in zip(spectrum.exposure_start, spectrum.exposure_seconds, strict=True):
        exposure = message.exposures.add(seconds=float(seconds))
        if start != 0.0:
            exposure.start.CopyFrom(_timestamp(float(start)))
    for channel in spectrum.channels:
        message.channels.append(_channel_to_message(channel, spectrum.exposures))
    return message


def spectrum_from_message(message: spectrum_pb2.Spectrum) -> Spectrum:
    """Read the arrays of a spectrum message.

    Only shapes and enumerations are checked here; what the values may be is ingestion's business.

    Parameters
    ----------
    message : spectrum_pb2.Spectrum
        E exposures and channels of N bins; an empty mask means that every bin may be used.

    Returns
    -------
    Spectrum
        Arrays of shape (E, N); exposure names and the plasma model stay in the message.

    Raises
    ------
    InvalidSpectrum
        A declared length does not match its array, or the source or a statistic is unspecified or unknown.
    """
    if message.source not in _SOURCES_BACK:
        raise InvalidSpectrum("source is not specified: set it to RESOLVED (a pixel) or STAR.")
    exposures = len(message.exposures)
    return Spectrum(
        target=message.target,
        instrument=message.instrument,
        source=_SOURCES_BACK[message.source],
        channels=tuple(_channel_from_message(channel, exposures) for channel in message.channels),
        exposure_start=np.array([_unix_seconds(exposure) for exposure in message.exposures], dtype=np.float64),
        exposure_seconds=np.array([exposure.seconds for exposure in message.exposures], dtype=np.float64),
        distance_pc=message.distance_pc or None,
        name=message.name,
        annotations=dict(message.annotations),
    )


def _channel_to_message(channel: Channel, exposures: int) -> spectrum_pb2.Channel:
    shape = (exposures, channel.bins)
    message = spectrum_pb2.Channel(
        name=channel.name,
        wavelength_edges=np.asarray(channel.wavelength_edges, dtype=np.float64).tolist(),
        statistic=_STATISTICS[channel.statistic],
        mask=_shaped(channel, "mask", shape).astype(np.uint8).tobytes(),
        line_width=channel.line_width,
    )
    for field in ("counts", "area_exposure", "background", "read_variance"):
        if getattr(channel, field) is not None:
            values = _shaped(channel, field, shape).astype(np.float32).ravel().tolist()
            getattr(message, field).extend(values)
    if channel.background_scale is not None:
        scale = _shaped(channel, "background_scale", (exposures,))
        message.background_scale.extend(scale.astype(np.float32).tolist())
    return message


def _shaped(channel: Channel, field: str, shape: tuple[int, ...]) -> NDArray:
    array = np.asarray(getattr(channel, field))
    if array.shape != shape:
        raise InvalidSpectrum(
            f"Channel {channel.name[:80]!r}: {field} has shape {array.shape}, expected {shape} "
            "(exposures, wavelength bins)."
        )
    return array


def _channel_from_message(message: spectrum_pb2.Channel, exposures: int) -> Channel:
    bins = len(message.wavelength_edges) - 1
    if bins < 1:
        raise InvalidSpectrum(f"Channel {message.name[:80]!r}: give at least two wavelength_edges (N + 1 for N bins).")
    if message.statistic not in _STATISTICS_BACK:
        raise InvalidSpectrum(
            f"Channel {message.name[:80]!r}: statistic is not specified: set POISSON, COUNTS_WITH_READ_NOISE or FLUX."
        )

    def cube(field: str) -> FloatArray:
        return _declared(message, field, exposures * bins, f"{exposures} exposures x {bins} bins").reshape(
            exposures, bins
        )

    if message.mask:
        if len(message.mask) != exposures * bins:
            raise InvalidSpectrum(
                f"Channel {message.name[:80]!r}: mask has {len(message.mask)} bytes, expected {exposures * bins} "
                f"({exposures} exposures x {bins} bins), or none at all."
            )
        mask = np.frombuffer(message.mask, dtype=np.uint8).reshape(exposures, bins) != 0
    else:
        mask = np.ones((exposures, bins), dtype=np.bool_)
    return Channel(
        name=message.name,
        wavelength_edges=np.array(message.wavelength_edges, dtype=np.float64),
        counts=cube("counts"),
        area_exposure=cube("area_exposure"),
        mask=mask,
        statistic=_STATISTICS_BACK[message.statistic],
        background=cube("background") if message.background else None,
        background_scale=(
            _declared(message, "background_scale", exposures, f"{exposures} exposures")
            if message.background_scale
            else None
        ),
        read_variance=cube("read_variance") if message.read_variance else None,
        line_width=message.line_width,
    )


def _declared(message: spectrum_pb2.Channel, field: str, expected: int, of_what: str) -> FloatArray:
    values: Sequence[float] = getattr(message, field)
    if len(values) != expected:
        raise InvalidSpectrum(
            f"Channel {message.name[:80]!r}: {field} has {len(values)} values, expected {expected} ({of_what})."
        )
    return np.array(values, dtype=np.float32)


def _timestamp(unix_seconds: float) -> Timestamp:
    if not _EARLIEST <= unix_seconds <= _LATEST:
        raise InvalidSpectrum(f"exposure_start {unix_seconds!r} is not a time: give Unix seconds, or 0 when unknown.")
    whole = int(np.floor(unix_seconds))
    nanoseconds = round((unix_seconds - whole) * _NANOSECONDS)
    return Timestamp(seconds=whole + nanoseconds // _NANOSECONDS, nanos=nanoseconds % _NANOSECONDS)


def _unix_seconds(exposure: spectrum_pb2.Exposure) -> float:
    return exposure.start.seconds + exposure.start.nanos / _NANOSECONDS
