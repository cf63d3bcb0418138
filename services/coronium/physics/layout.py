"""The wavelength grid of an observation, cut into equal blocks, with the atomic data that reach each block.

A block is a run of bins of one channel. All blocks have the same number of bins and of lines, so that the sum
over lines is one small matrix product per block, whatever the instrument. Lines are laid on cells finer than the
bins with cubic Lagrange weights, which conserve flux, centroid, width and skewness, and are spread afterwards by
the line-spread function of their channel; its shift and width stay free in a fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jax import Array

from coronium.physics.absorption import cross_section
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.instruments.instrument import Instrument, Profile
from coronium.physics.line_list import LineCatalogue, gather_lines
from coronium.physics.line_profile import GAUSSIAN_FWHM
from coronium.physics.spectrum import FloatArray, SourceKind

LONGEST_BLOCK = 128
SMALLEST = 1e-40
FINEST_SIGMA = 2.2
"""Cells per standard deviation of the line-spread function; cubic weights are then good to 0.3 % of the peak."""
MARGIN = 3
"""Cells beyond the reach of a line, for its cubic weights."""
OFFSET_REACH = 0.3
"""Widths by which the grid of a resolved source may lie off its layout (a raster's wavelengths drift)."""


@dataclass(frozen=True)
class Layout:
    """The static part: hashable, one compiled program per value.

    Attributes
    ----------
    channels : int
        Number C of channels.
    blocks, bins : int
        K blocks of B bins.
    lines : int
        Lines of a block; the blocks' lines are runs of neighbours.
    oversampling : int
        Cells per bin.
    reach : int
        Cells on either side of a bin from which it collects light.
    block_channel : tuple of int
        (K,) which channel each block belongs to.
    first_bin : tuple of int
        (K,) the channel's bin at which the block begins.
    first_line : tuple of int
        (K,) the first line that reaches the block.
    channel_bins : tuple of int
        (C,) bins of each channel.
    profile : Profile
    elements : tuple of int
        Atomic numbers of the elements that have lines here.
    """

    channels: int
    blocks: int
    bins: int
    lines: int
    oversampling: int
    reach: int
    block_channel: tuple[int, ...]
    first_bin: tuple[int, ...]
    first_line: tuple[int, ...]
    channel_bins: tuple[int, ...]
    profile: Profile
    elements: tuple[int, ...]

    def to_blocks(self, arrays: list[np.ndarray], fill: float = 0.0) -> np.ndarray:
        """Cut C arrays (E, N_c) into (E, K, B); what lies past the end of a channel is `fill`."""
        out = np.full((len(arrays[0]), self.blocks, self.bins), fill, dtype=arrays[0].dtype)
        for k, (c, start) in enumerate(zip(self.block_channel, self.first_bin, strict=True)):
            piece = arrays[c][:, start : start + self.bins]
            out[:, k, : piece.shape[1]] = piece
        return out

    def from_blocks(self, values: np.ndarray) -> list[np.ndarray]:
        """Undo `to_blocks` for (..., K, B): C arrays (..., N_c)."""
        out = [np.zeros((*values.shape[:-2], n), values.dtype) for n in self.channel_bins]
        for k, (c, start) in enumerate(zip(self.block_channel, self.first_bin, strict=True)):
            count = min(self.bins, self.channel_bins[c] - start)
            out[c][..., start : start + count] = values[..., k, :count]
        return out


class Bank(NamedTuple):
    """Arrays that the forward model reads, all float32 unless said otherwise.

    L lines, P elements, M broad bins of 0.5 A, K blocks, B bins, J lines a block, F cells a block with margins.
    """

    log_temperature: Array
    """(nT,) nodes."""
    log_density: Array
    """(nN,) nodes."""
    line_log_emissivity: Array
    """(nT, nN, L) ln photons cm3 s-1 per unit abundance."""
    line_cross_section: Array
    """(L,) interstellar absorption, 1e-18 cm2 per hydrogen atom."""
    element_matrix: Array
    """(L, P) 1 where a line belongs to an element."""
    lay: Array
    """(K, F, J) share of each line in each cell."""
    cells_per_angstrom: Array
    """(K,)"""
    pseudo_log_emissivity: Array
    """(nT, nN, S) ln photons cm3 s-1 per unit abundance, of the lines not kept one by one."""
    pseudo_element: Array
    """(S, P) 1 where an entry belongs to an element."""
    pseudo_share: Array
    """(M, S) what an entry gives to each broad bin, 1 / A."""
    continuum_log_emissivity: Array
    """(nT, 2 * M): hydrogen with helium, then metals at reference abundance."""
    broad_cross_section: Array
    """(M,) as `line_cross_section`."""
    broad_own: Array
    """(K, B, M) 1 where a broad bin holds a bin."""
    broad_smooth: Array
    """(K, B, M) weights that interpolate between the centres of broad bins."""
    bin_width: Array
    """(K, B) Angstrom; 0 past the end of a channel."""
    reference_abundance: Array
    """(P,) n_el / n_H of the reference set."""
    calibration_modes: Array
    """(Q, K, B) ln area error per unit latent."""


def _split(channel_bins: list[int]) -> tuple[int, list[int], list[int]]:
    """Block length, and channel and first bin of every block."""
    longest = max(channel_bins)
    bins = -(-longest // -(-longest // LONGEST_BLOCK))
    owner, first = [], []
    for c, n in enumerate(channel_bins):
        for start in range(0, n, bins):
            owner.append(c)
            first.append(start)
    return bins, owner, first


def _resolution(instrument: Instrument, edges: list[FloatArray]) -> tuple[int, int]:
    """Cells per bin, and the reach of the line-spread function in cells."""
    bin_size = np.array([np.median(np.diff(e)) for e in edges])
    fwhm = np.array([c.fwhm for c in instrument.channels])
    oversampling = max(1, int(np.ceil((FINEST_SIGMA * GAUSSIAN_FWHM * bin_size / fwhm).max())))
    furthest = 0.0
    for channel, size in zip(instrument.channels, bin_size, strict=True):
        offset = OFFSET_REACH * channel.fwhm if instrument.source is SourceKind.RESOLVED else 0.0
        tail = 3.0 if channel.profile is Profile.BETA else 1.3
        width = channel.fwhm * np.exp(2.0 * channel.fwhm_log_sd)
        furthest = max(furthest, (tail * width + 2.5 * channel.shift_sd + offset) / size)
    return oversampling, int(np.ceil(furthest * oversampling))


def _lagrange(position: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Cells (n,) below each position and cubic weights (n, 4) of the cells -1..2 around it."""
    base = np.floor(position).astype(int)
    a = position - base
    weights = np.stack(
        [
            -a * (a - 1) * (a - 2) / 6,
            (a + 1) * (a - 1) * (a - 2) / 2,
            -(a + 1) * a * (a - 2) / 2,
            (a + 1) * a * (a - 1) / 6,
        ],
        axis=1,
    )
    return base, weights


def _lay_lines(wavelength: FloatArray, own: FloatArray, oversampling: int, reach: int, cells: int) -> np.ndarray:
    """Cubic weights of lines (J,) on the cells of a block whose bins have the edges `own`: (cells, J)."""
    step = np.median(np.diff(own))
    position = np.interp(wavelength, own, np.arange(len(own)))
    position += np.where(wavelength < own[0], (wavelength - own[0]) / step, 0.0)
    position += np.where(wavelength > own[-1], (wavelength - own[-1]) / step, 0.0)
    # Counted from the centre of the first cell, which lies `reach` cells below the block.
    base, weights = _lagrange(position * oversampling + reach - 0.5)
    matrix = np.zeros((cells, len(wavelength)), np.float32)
    for j in range(4):
        index = base - 1 + j
        good = (index >= 0) & (index < cells)
        matrix[index[good], np.flatnonzero(good)] += weights[good, j]
    return matrix


def _one_hot(index: np.ndarray, count: int) -> np.ndarray:
    return (index[:, None] == np.arange(count)).astype(np.float32)


def build_layout(
    table: EmissivityTable,
    instrument: Instrument,
    edges: list[FloatArray],
    reference_abundance: dict[int, float],
) -> tuple[Layout, Bank, LineCatalogue]:
    """Gather everything of the emissivity table that reaches the channels of an observation.

    Parameters
    ----------
    table : EmissivityTable
    instrument : Instrument
        Line-spread functions and calibration modes, one channel per array of edges.
    edges : list of (N_c + 1,) Angstrom
    reference_abundance : dict
        n_el / n_H by atomic number.
    """
    channel_bins = [len(e) - 1 for e in edges]
    bins, owner, first = _split(channel_bins)
    oversampling, reach = _resolution(instrument, edges)
    steps = [float(np.median(np.diff(e))) / oversampling for e in edges]
    ranges = [(float(e[0]) - reach * s, float(e[-1]) + reach * s) for e, s in zip(edges, steps, strict=True)]
    own_lines = gather_lines(table, ranges, min(c.fwhm for c in instrument.channels), reference_abundance)

    def blocked(arrays: list[np.ndarray]) -> np.ndarray:
        out = np.zeros((len(owner), bins), arrays[0].dtype)
        for k, (c, start) in enumerate(zip(owner, first, strict=True)):
            piece = arrays[c][start : start + bins]
            out[k, : len(piece)] = piece
            out[k, len(piece) :] = piece[-1]
        return out

    centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
    wavelength = blocked(centres)
    width = blocked([np.diff(e) for e in edges])
    for k, (c, start) in enumerate(zip(owner, first, strict=True)):
        width[k, max(0, channel_bins[c] - start) :] = 0.0

    # Whole bins, so that cells divide into phases.
    cells = (bins - 1) * oversampling + -(-(2 * reach + oversampling) // oversampling) * oversampling
    line_range = []
    for c, start in zip(owner, first, strict=True):
        own = edges[c][start : start + bins + 1]
        far = (reach - MARGIN) * steps[c]
        line_range.append(np.searchsorted(own_lines.wavelength, (own[0] - far, own[-1] + far)))
    lines = max(1, max(int(stop - start) for start, stop in line_range))
    lay = np.zeros((len(owner), cells, lines), np.float32)
    for k, (c, (start, stop)) in enumerate(zip(owner, line_range, strict=True)):
        own = edges[c][first[k] : first[k] + bins + 1]
        lay[k, :, : stop - start] = _lay_lines(own_lines.wavelength[start:stop], own, oversampling, reach, cells)

    broad, entries, pseudo_share = _pseudo_continuum(table, edges)
    pseudo_centre = 0.5 * (table.pseudo_edges[1:] + table.pseudo_edges[:-1])[broad]
    own = np.clip(np.searchsorted(table.pseudo_edges, wavelength) - 1, 0, len(table.pseudo_edges) - 2)
    below = np.clip(np.searchsorted(pseudo_centre, wavelength) - 1, 0, len(broad) - 2)
    gap = pseudo_centre[below + 1] - pseudo_centre[below]
    fraction = np.clip((wavelength - pseudo_centre[below]) / gap, 0.0, 1.0)
    smooth = np.zeros((*wavelength.shape, len(broad)), np.float32)
    np.put_along_axis(smooth, below[..., None], 1.0 - fraction[..., None], axis=-1)
    np.put_along_axis(smooth, below[..., None] + 1, fraction[..., None], axis=-1)
    continuum = np.array(
        [
            [np.interp(pseudo_centre, table.continuum_wavelength, row) for row in component.T]
            for component in table.continuum
        ]
    )

    modes = np.zeros((instrument.calibration_mode_count, len(owner), bins))
    for q in range(len(modes)):
        parts = [
            np.interp(centre, channel.wavelength, channel.calibration_modes[q])
            for centre, channel in zip(centres, instrument.channels, strict=True)
        ]
        modes[q] = blocked(parts)
    elements = tuple(sorted({int(z) for z in (*own_lines.element, *table.pseudo_element[entries])}))
    place = np.zeros(max(elements) + 1, int)
    place[list(elements)] = np.arange(len(elements))

    def single(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x, np.float32)

    bank = Bank(
        log_temperature=single(table.log_temperature),
        log_density=single(table.log_density),
        line_log_emissivity=single(own_lines.log_emissivity.transpose(1, 2, 0)),
        line_cross_section=single(cross_section(own_lines.wavelength) * 1e18),
        element_matrix=_one_hot(place[own_lines.element], len(elements)),
        lay=lay,
        cells_per_angstrom=single(np.array([1.0 / steps[c] for c in owner])),
        pseudo_log_emissivity=single(table.pseudo_log_emissivity[entries].transpose(1, 2, 0)),
        pseudo_element=_one_hot(place[table.pseudo_element[entries]], len(elements)),
        pseudo_share=single(pseudo_share),
        continuum_log_emissivity=single(
            np.log(np.maximum(continuum, SMALLEST)).transpose(1, 0, 2).reshape(continuum.shape[1], -1)
        ),
        broad_cross_section=single(cross_section(pseudo_centre) * 1e18),
        broad_own=_one_hot(np.searchsorted(broad, own).ravel(), len(broad)).reshape(*own.shape, -1),
        broad_smooth=smooth,
        bin_width=single(width),
        reference_abundance=single(np.array([reference_abundance.get(z, 1e-12) for z in elements])),
        calibration_modes=single(modes),
    )
    layout = Layout(
        channels=len(edges),
        blocks=len(owner),
        bins=bins,
        lines=lines,
        oversampling=oversampling,
        reach=reach,
        block_channel=tuple(owner),
        first_bin=tuple(first),
        first_line=tuple(int(start) for start, _ in line_range),
        channel_bins=tuple(channel_bins),
        profile=instrument.channels[0].profile,
        elements=elements,
    )
    return layout, bank, own_lines.catalogue


def _pseudo_continuum(table: EmissivityTable, edges: list[FloatArray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Broad bins that the channels touch (M,), table entries in them (S,), and each entry's share (M, S) in 1/A."""
    count = len(table.pseudo_edges) - 1
    touched = [np.clip(np.searchsorted(table.pseudo_edges, e) - 1, 0, count - 1) for e in edges]
    broad = np.unique(np.concatenate([np.arange(max(t.min() - 1, 0), min(t.max() + 2, count)) for t in touched]))
    entries = np.flatnonzero(np.isin(table.pseudo_bin, broad))
    at = np.searchsorted(broad, table.pseudo_bin[entries])
    share = np.zeros((len(broad), len(entries)))
    share[at, np.arange(len(entries))] = 1.0 / np.diff(table.pseudo_edges)[broad][at]
    return broad, entries, share
