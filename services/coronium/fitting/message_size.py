"""A posterior message of at most 64 KiB: what is left out first of one that would be larger."""

from __future__ import annotations

import math

import numpy as np

from coronium.contract.limits import MAX_POSTERIOR_BYTES, MAX_POSTERIOR_DRAWS
from coronium.v1 import posterior_pb2

LEAST_DRAWS = 64
"""Draws that stay until bands and unidentified lines have given way: enough for a 68 % interval."""
LEAST_BINS = 8
"""Bins below which no channel's band is merged further: a band of fewer shows nothing."""

_FLOAT_BYTES = 4
# Tags and lengths of a packed field and of the messages around it.
_OVERHEAD_BYTES = 16


def limit_size(message: posterior_pb2.Posterior, limit: int = MAX_POSTERIOR_BYTES) -> None:
    """Thin a message in place until it fits; summaries, diagnostics, flags and versions always stay.

    In this order, each step only as far as needed and only where the one before was not enough:

    1. draws, evenly over the chains: to `MAX_POSTERIOR_DRAWS` in any case, then down to `LEAST_DRAWS`;
    2. predictive bands: neighbouring bins are added up in pairs, in all channels alike, down to `LEAST_BINS`;
    3. lines that are not identified, the least probable first;
    4. the remaining draws;
    5. identified lines, those of least signal to noise first;
    6. the bands.

    Parameters
    ----------
    message : Posterior
    limit : int
        Bytes. What ingestion lets pass keeps the rest far below it.
    """
    _thin_draws(message, limit, LEAST_DRAWS)
    while message.ByteSize() > limit and _longest_band(message) > LEAST_BINS:
        for band in message.predictive:
            _merge_pairs(band)
    _drop_lines(message, limit, identified=False)
    _thin_draws(message, limit, 0)
    _drop_lines(message, limit, identified=True)
    if message.ByteSize() > limit:
        message.ClearField("predictive")


def _thin_draws(message: posterior_pb2.Posterior, limit: int, least: int) -> None:
    """Keep as many draws as there is room for, evenly spaced, at least `least`."""
    width = len(message.draws.names)
    if not width:
        return
    draws = np.array(message.draws.values, np.float32).reshape(-1, width)
    room = limit - (message.ByteSize() - draws.nbytes) - _OVERHEAD_BYTES
    count = min(len(draws), MAX_POSTERIOR_DRAWS, max(least, room // (_FLOAT_BYTES * width), 0))
    if count == len(draws):
        return
    kept = draws[(np.arange(count) * len(draws)) // max(count, 1)]
    message.draws.values[:] = kept.ravel().tolist()
    if not count:
        message.ClearField("draws")


def _longest_band(message: posterior_pb2.Posterior) -> int:
    return max((len(band.median) for band in message.predictive), default=0)


def _merge_pairs(band: posterior_pb2.PredictiveChannel) -> None:
    """Add up neighbouring bins; half widths add in quadrature, since noise of the bins makes most of them."""
    wavelength, lower, median, upper = (
        np.array(getattr(band, name), float) for name in ("wavelength", "lower", "median", "upper")
    )
    if len(median) < 2:
        return
    starts = np.arange(0, len(median), 2)
    centre = np.add.reduceat(median, starts)
    band.wavelength[:] = np.add.reduceat(wavelength, starts) / np.diff(np.append(starts, len(median)))
    band.median[:] = centre
    band.lower[:] = centre - np.sqrt(np.add.reduceat((median - lower) ** 2, starts))
    band.upper[:] = centre + np.sqrt(np.add.reduceat((upper - median) ** 2, starts))
    band.rebinned *= 2


def _drop_lines(message: posterior_pb2.Posterior, limit: int, identified: bool) -> None:
    """Leave out lines that are, or are not, identified until the message fits or none of them is left."""
    excess = message.ByteSize() - limit
    if excess <= 0:
        return

    def rank(index: int) -> float:
        line = message.lines[index]
        value = line.predicted_signal_to_noise if identified else line.probability
        return value if math.isfinite(value) else -math.inf

    dropped = set()
    for index in sorted((i for i, line in enumerate(message.lines) if line.identified == identified), key=rank):
        if excess <= 0:
            break
        # A tag and a length of at least one byte each stand before the line.
        excess -= message.lines[index].ByteSize() + 2
        dropped.add(index)
    kept = [line for index, line in enumerate(message.lines) if index not in dropped]
    message.ClearField("lines")
    message.lines.extend(kept)
