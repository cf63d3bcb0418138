"""One spelling for each checked spectrum, with its name and its signal to noise."""

from __future__ import annotations

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from coronium.contract.conversion import spectrum_from_message
from coronium.contract.identity import canonical_arrays, fingerprint, plasma_model
from coronium.physics.spectrum import Channel, FloatArray, Statistic
from coronium.v1 import spectrum_pb2


def canonical(spectrum: spectrum_pb2.Spectrum) -> spectrum_pb2.Spectrum:
    """Fill every default, zero what is masked, and order the channels by wavelength.

    Parameters
    ----------
    spectrum : spectrum_pb2.Spectrum
        Checked; its source is set.

    Returns
    -------
    spectrum_pb2.Spectrum
        A copy with the same fingerprint and without fields this software does not know.
    """
    result = spectrum_pb2.Spectrum(
        target=spectrum.target,
        instrument=spectrum.instrument,
        source=spectrum.source,
        distance_pc=spectrum.distance_pc,
        name=spectrum.name,
        annotations=dict(sorted(spectrum.annotations.items())),
        plasma_model=plasma_model(spectrum),
    )
    for exposure in spectrum.exposures:
        copy = result.exposures.add(name=exposure.name, seconds=exposure.seconds)
        if exposure.HasField("start"):
            copy.start.seconds, copy.start.nanos = exposure.start.seconds, exposure.start.nanos
    for channel in sorted(spectrum.channels, key=lambda channel: (channel.wavelength_edges[0], channel.name)):
        arrays = canonical_arrays(channel)
        result.channels.add(
            name=channel.name,
            wavelength_edges=channel.wavelength_edges,
            statistic=channel.statistic,
            line_width=channel.line_width,
            mask=arrays.pop("mask").tobytes(),
            **{field: values.tolist() for field, values in arrays.items()},
        )
    return result


def observation(spectrum: spectrum_pb2.Spectrum, received_at: Timestamp) -> spectrum_pb2.Observation:
    """Make the observation of a checked spectrum.

    Parameters
    ----------
    spectrum : spectrum_pb2.Spectrum
        Checked; its source is set.
    received_at : Timestamp
        When the spectrum reached the stream.
    """
    spectrum = canonical(spectrum)
    return spectrum_pb2.Observation(
        spectrum=spectrum,
        fingerprint=fingerprint(spectrum),
        received_at=received_at,
        signal_to_noise=signal_to_noise(spectrum_from_message(spectrum).channels),
    )


def signal_to_noise(channels: tuple[Channel, ...]) -> float:
    """Median signal to noise per bin that may be used and has a positive signal; 0 where none has."""
    ratios = np.concatenate([_bin_signal_to_noise(channel) for channel in channels])
    return float(np.median(ratios)) if len(ratios) else 0.0


def _bin_signal_to_noise(channel: Channel) -> FloatArray:
    signal = channel.counts.astype(np.float64)
    variance = np.zeros_like(signal) if channel.statistic is Statistic.FLUX else np.maximum(signal, 0.0)
    if channel.background is not None and channel.background_scale is not None:
        scale = channel.background_scale.astype(np.float64)[:, np.newaxis]
        signal = signal - channel.background / scale
        variance = variance + np.abs(channel.background) / scale**2
    if channel.read_variance is not None:
        variance = variance + channel.read_variance
    used = channel.mask & (signal > 0) & (variance > 0)
    return signal[used] / np.sqrt(variance[used])
