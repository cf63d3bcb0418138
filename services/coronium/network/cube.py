"""A spectrum as a cube [exposure, channel, wavelength] on the canonical grid of its instrument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from coronium.physics.instruments import Instrument
from coronium.physics.spectrum import Channel, FloatArray, Spectrum, Statistic

SLOTS = 4
"""Most exposures that the network tells apart; more are added up into so many groups."""
LEAST_COVER = 0.5
"""A canonical bin is used when at least this part of it is covered by good bins."""
SAME_STEP = 1e-3
"""Bins count as the canonical ones, shifted, when no edge is off by more than this part of a bin."""
QUIET_SHARE = 0.2
"""Quantile of a channel's counts taken for its background where no background region was observed."""


@dataclass(frozen=True, eq=False)
class CanonicalGrid:
    """What an instrument's spectra look like to its network: C channels, padded to N bins.

    Attributes
    ----------
    instrument : str
    channels : tuple of str
    edges : tuple of (N_c + 1,) arrays, Angstrom
    area : (C, N) float32
        Area x typical exposure (x solid angle) of a typical spectrum; 0 past the end of a channel.
    """

    instrument: str
    channels: tuple[str, ...]
    edges: tuple[FloatArray, ...]
    area: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Channels C and bins N."""
        return self.area.shape[0], self.area.shape[1]

    @property
    def digest(self) -> str:
        """SHA-256 of channel names and edges: a network is valid for one grid alone."""
        digest = hashlib.sha256()
        for name, edges in zip(self.channels, self.edges, strict=True):
            digest.update(f"{name}:{len(edges)};".encode())
            digest.update(np.ascontiguousarray(edges, "<f8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Cube:
    """Counts and what is known about them, (E, C, N) float32 each, E <= SLOTS; 0 where masked.

    Attributes
    ----------
    counts : detected counts (photons)
    background : expected counts that are not the source's
    area : area x exposure (x solid angle)
    read_variance : counts^2
    mask : 1 where a bin may be used
    """

    counts: FloatArray
    background: FloatArray
    area: FloatArray
    read_variance: FloatArray
    mask: FloatArray


def canonical_grid(instrument: Instrument) -> CanonicalGrid:
    """Return the grid of an instrument."""
    bins = max(c.bins for c in instrument.channels)
    area = np.zeros((len(instrument.channels), bins), np.float32)
    for row, channel in zip(area, instrument.channels, strict=True):
        row[: channel.bins] = instrument.area_exposure(channel)
    return CanonicalGrid(
        instrument=instrument.name,
        channels=tuple(c.name for c in instrument.channels),
        edges=tuple(c.wavelength_edges for c in instrument.channels),
        area=area,
    )


def slot_of_exposure(exposures: int) -> np.ndarray:
    """Slot (E,) of every exposure: neighbours in time share one when there are more exposures than slots."""
    return np.arange(exposures) * min(exposures, SLOTS) // exposures


def to_cube(grid: CanonicalGrid, spectrum: Spectrum) -> Cube:
    """Lay a spectrum on the canonical grid.

    Channels that the observation has not are masked, channels that the grid has not are left out. Bins of another
    size are shared out in proportion to their overlap, which conserves counts; where they are the canonical bins
    but for an offset they are moved by whole bins, so that their noise stays independent (the network
    was trained on shifts of that size).

    Parameters
    ----------
    grid : CanonicalGrid
    spectrum : Spectrum
    """
    slot = slot_of_exposure(spectrum.exposures)
    shape = (slot[-1] + 1, *grid.shape)
    arrays = {name: np.zeros(shape, np.float32) for name in ("counts", "background", "area", "read_variance", "mask")}
    for channel in spectrum.channels:
        if channel.name not in grid.channels:
            continue
        row = grid.channels.index(channel.name)
        own, edges = channel.wavelength_edges, grid.edges[row]
        counts, variance = as_counts(channel)
        good = channel.mask & (channel.area_exposure > 0)
        background = flat_background(counts, good, channel.background, channel.background_scale, channel.statistic)
        width = good * np.diff(own)
        covered = rebin(own, edges, width)
        usable = covered >= LEAST_COVER * np.diff(edges)
        here = slice(0, len(edges) - 1)
        laid = {
            "counts": rebin(own, edges, counts * good),
            "background": rebin(own, edges, background * good),
            "area": rebin(own, edges, channel.area_exposure * width) / np.diff(edges),
            "read_variance": rebin(own, edges, variance * good),
        }
        for e, s in enumerate(slot):
            for name, values in laid.items():
                arrays[name][s, row, here] += np.where(usable[e], values[e], 0.0)
            arrays["mask"][s, row, here] = np.maximum(arrays["mask"][s, row, here], usable[e])
    return Cube(**arrays)


def rebin(edges: FloatArray, onto: FloatArray, values: FloatArray) -> FloatArray:
    """Share out what stands in bins onto other bins: (E, N) to (E, M), the sum conserved where the grids overlap.

    Bins of another size are shared out in proportion to their overlap; those that are `onto` but for an offset are
    moved by whole bins.

    Parameters
    ----------
    edges : (N + 1,) increasing, Angstrom
    onto : (M + 1,) increasing, Angstrom
    values : (E, N)
    """
    bins = len(onto) - 1
    step = float(np.median(np.diff(onto)))
    if len(edges) == len(onto) and np.ptp(edges - onto) < SAME_STEP * step:
        by = round(float((edges - onto).mean()) / step)
        moved = np.zeros(values.shape)
        if abs(by) < bins:
            moved[:, max(by, 0) : bins + min(by, 0)] = values[:, max(-by, 0) : bins - max(by, 0)]
        return moved
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return np.diff(np.stack([np.interp(onto, edges, row) for row in total]), axis=1)


def as_counts(channel: Channel) -> tuple[FloatArray, FloatArray]:
    """Counts and the variance of the detector noise, (E, N) each.

    Calibrated fluxes become the counts that area and exposure make of them.
    """
    variance = np.zeros_like(channel.counts) if channel.read_variance is None else channel.read_variance
    if channel.statistic is not Statistic.FLUX:
        return channel.counts, variance
    return channel.counts * channel.area_exposure, variance * channel.area_exposure**2


def flat_background(
    counts: FloatArray,
    good: np.ndarray,
    region: np.ndarray | None,
    region_scale: FloatArray | None,
    statistic: Statistic,
) -> FloatArray:
    """Background under the source, counts per bin, the same all along a channel: (..., 1).

    From the background region where there is one; otherwise, for detectors with a pedestal of stray light, from the
    channel's quietest bins.

    Parameters
    ----------
    counts : (..., N)
    good : (..., N) bool
    region : (..., N) counts of the background region
    region_scale : (...) BACKSCAL
    statistic : Statistic
    """
    if region is not None and region_scale is not None:
        used = np.maximum(good.sum(-1), 1) * np.where(region_scale > 0, region_scale, np.inf)
        return ((region * good).sum(-1) / used)[..., None]
    if statistic is Statistic.COUNTS_WITH_READ_NOISE:
        ranked = np.sort(np.where(good, counts, np.inf), axis=-1)
        place = (QUIET_SHARE * np.maximum(good.sum(-1) - 1, 0)).astype(int)[..., None]
        quiet = np.take_along_axis(ranked, place, axis=-1)
        return np.where(np.isfinite(quiet), np.maximum(quiet, 0.0), 0.0)
    return np.zeros((*counts.shape[:-1], 1))
