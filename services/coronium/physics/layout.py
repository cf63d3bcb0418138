"""The wavelength grid of an observation, cut into equal blocks, with the atomic data that reach each block.

A block is a run of bins of one channel. All blocks have the same number of bins and of lines, so that the sum
over lines is one small matrix product per block, whatever the instrument. Lines are laid on a block as a Fourier
series over the block and its margins; shift and width of the line-spread function stay free in a fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from coronium.physics.absorption import cross_section
from coronium.physics.arrays import Array
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.instruments.instrument import Instrument, Profile
from coronium.physics.line_list import LineCatalogue, gather_lines
from coronium.physics.line_profile import harmonics
from coronium.physics.spectrum import FloatArray, SourceKind

LONGEST_BLOCK = 128
SMALLEST = 1e-40
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
    reach : int
        Bins on either side of a block from which it collects light.
    harmonics : int
        Of the period of a block and its margins, the constant not counted.
    block_channel : tuple of int
        (K,) which channel each block belongs to.
    first_bin : tuple of int
        (K,) the channel's bin at which the block begins.
    series : tuple of int
        (K,) which Fourier series each block reads: channels on one grid (both orders of a grating) share theirs.
    line_runs : tuple of (first, last) int
        (U,) which lines each series holds, the last not among them: a run of neighbours.
    broad : int
        Number W of broad bins that a block looks at.
    first_broad : tuple of int
        (K,) the first of them.
    channel_bins : tuple of int
        (C,) bins of each channel.
    profile : Profile
    elements : tuple of int
        Atomic numbers of the elements that have lines here.
    """

    channels: int
    blocks: int
    bins: int
    reach: int
    harmonics: int
    block_channel: tuple[int, ...]
    first_bin: tuple[int, ...]
    series: tuple[int, ...]
    line_runs: tuple[tuple[int, int], ...]
    broad: int
    first_broad: tuple[int, ...]
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

    L lines, P elements, M broad bins of 0.5 A, K blocks, B bins, J lines of all series, H harmonics and the constant.
    """

    log_temperature: Array
    """(nT,) nodes; with a distribution over temperature, of its centre."""
    log_density: Array
    """(nN,) nodes."""
    root_dem_width: Array
    """(nW,) nodes of the root of that distribution's width; none for an isothermal plasma: its tables lack the axis."""
    line_log_emissivity: Array
    """(nT, nW, nN, L) ln photons cm3 s-1 per unit abundance."""
    line_cross_section: Array
    """(L,) interstellar absorption, 1e-18 cm2 per hydrogen atom."""
    element_matrix: Array
    """(L, P) 1 where a line belongs to an element."""
    lay: Array
    """(2 H, J) cosine, then sine, of each harmonic at each line's position; one series after the other."""
    sum_up: Array
    """(B, 2 H) what the coefficients add to each bin."""
    omega: Array
    """(H,) angular frequencies, radians per bin."""
    bins_per_angstrom: Array
    """(C,)"""
    pseudo_log_emissivity: Array
    """(nT, nW, nN, S) ln photons cm3 s-1 per unit abundance, of the lines not kept one by one."""
    pseudo_element: Array
    """(S, P) 1 where an entry belongs to an element."""
    pseudo_bin: Array
    """(S,) int32, the broad bin of each entry, increasing."""
    broad_width: Array
    """(M,) Angstrom."""
    continuum_log_emissivity: Array
    """(nT, nW, 2 * M): hydrogen with helium, then metals at reference abundance."""
    broad_cross_section: Array
    """(M,) as `line_cross_section`."""
    broad_own: Array
    """(K, B, W) 1 where a broad bin, of the W that a block looks at, holds a bin."""
    broad_smooth: Array
    """(K, B, W) weights that interpolate between the centres of broad bins."""
    bin_width: Array
    """(K, B) Angstrom; 0 past the end of a channel."""
    reference_abundance: Array
    """(P,) n_el / n_H of the reference set."""
    calibration_modes: Array
    """(Q, K, B) ln area error per unit latent."""
    ln_dilution: Array
    """Scalar: ln 4 pi for resolved sources (per steradian); 0 for stars, whose EM / 4 pi d^2 has it already."""


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


def _resolution(instrument: Instrument, edges: list[FloatArray], bins: int) -> tuple[int, int]:
    """Reach of the line-spread function in bins, and the harmonics that it needs."""
    furthest, narrowest = 0.0, np.inf
    for channel, e in zip(instrument.channels, edges, strict=True):
        size = float(np.median(np.diff(e)))
        offset = OFFSET_REACH * channel.fwhm if instrument.source is SourceKind.RESOLVED else 0.0
        tail = 3.5 if channel.profile is Profile.BETA else 1.3
        width = channel.fwhm * np.exp(2.0 * channel.fwhm_log_sd)
        furthest = max(furthest, (tail * width + 2.5 * channel.shift_sd + offset) / size)
        narrowest = min(narrowest, channel.fwhm * np.exp(-2.0 * channel.fwhm_log_sd) / size)
    reach = int(np.ceil(furthest))
    return reach, harmonics(bins + 2 * reach, narrowest, instrument.channels[0].profile)


def _bin_position(wavelength: FloatArray, own: FloatArray) -> FloatArray:
    """Position of lines in bins from the lower edge of a block whose bins have the edges `own`."""
    step = np.median(np.diff(own))
    position = np.interp(wavelength, own, np.arange(len(own)))
    position += np.where(wavelength < own[0], (wavelength - own[0]) / step, 0.0)
    return position + np.where(wavelength > own[-1], (wavelength - own[-1]) / step, 0.0)


def _one_hot(index: np.ndarray, count: int) -> np.ndarray:
    return (index[:, None] == np.arange(count)).astype(np.float32)


def build_layout(
    table: EmissivityTable,
    instrument: Instrument,
    edges: list[FloatArray],
    source: SourceKind,
    reference_abundance: dict[int, float],
) -> tuple[Layout, Bank, LineCatalogue]:
    """Gather everything of the emissivity table that reaches the channels of an observation.

    Parameters
    ----------
    table : EmissivityTable
    instrument : Instrument
        Line-spread functions and calibration modes, one channel per array of edges.
    edges : list of (N_c + 1,) Angstrom
    source : SourceKind
    reference_abundance : dict
        n_el / n_H by atomic number.
    """
    channel_bins = [len(e) - 1 for e in edges]
    bins, owner, first = _split(channel_bins)
    reach, count = _resolution(instrument, edges, bins)
    steps = [float(np.median(np.diff(e))) for e in edges]
    ranges = [(float(e[0]) - reach * s, float(e[-1]) + reach * s) for e, s in zip(edges, steps, strict=True)]
    own_lines = gather_lines(table, ranges, [c.fwhm for c in instrument.channels], reference_abundance)

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

    period = bins + 2 * reach
    omega = 2.0 * np.pi * np.arange(count + 1) / period
    line_range = []
    for c, start in zip(owner, first, strict=True):
        own = edges[c][start : start + bins + 1]
        far = reach * steps[c]
        line_range.append(np.searchsorted(own_lines.wavelength, (own[0] - far, own[-1] + far)))
    unlike: dict[bytes, int] = {}
    series: list[int] = []
    line_runs: list[tuple[int, int]] = []
    lay: list[np.ndarray] = []
    for k, (c, (start, stop)) in enumerate(zip(owner, line_range, strict=True)):
        own = edges[c][first[k] : first[k] + bins + 1]
        if own.tobytes() not in unlike:
            unlike[own.tobytes()] = len(lay)
            phase = omega[:, None] * _bin_position(own_lines.wavelength[start:stop], own)
            lay.append(np.concatenate([np.cos(phase), np.sin(phase)]))
            line_runs.append((int(start), int(stop)))
        series.append(unlike[own.tobytes()])
    # A bin integrates over its width: sinc; real series: all but the constant count twice.
    amplitude = np.sinc(omega / (2.0 * np.pi)) * np.where(omega > 0, 2.0, 1.0) / period
    phase = omega * (np.arange(bins) + 0.5)[:, None]
    sum_up = np.concatenate([amplitude * np.cos(phase), amplitude * np.sin(phase)], axis=1)

    broad, entries, pseudo_bin = _pseudo_continuum(table, edges)
    pseudo_centre = 0.5 * (table.pseudo_edges[1:] + table.pseudo_edges[:-1])[broad]
    own = np.clip(np.searchsorted(table.pseudo_edges, wavelength) - 1, 0, len(table.pseudo_edges) - 2)
    below = np.clip(np.searchsorted(pseudo_centre, wavelength) - 1, 0, len(broad) - 2)
    gap = pseudo_centre[below + 1] - pseudo_centre[below]
    fraction = np.clip((wavelength - pseudo_centre[below]) / gap, 0.0, 1.0)
    holding = np.searchsorted(broad, own)
    first_broad = np.minimum(holding, below).min(axis=1)
    window = int((np.maximum(holding, below + 1).max(axis=1) - first_broad).max()) + 1
    first_broad = np.minimum(first_broad, len(broad) - window)
    smooth = np.zeros((*wavelength.shape, window), np.float32)
    at = (below - first_broad[:, None])[..., None]
    np.put_along_axis(smooth, at, 1.0 - fraction[..., None], axis=-1)
    np.put_along_axis(smooth, at + 1, fraction[..., None], axis=-1)
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
        root_dem_width=np.zeros(0, np.float32),
        line_log_emissivity=single(own_lines.log_emissivity.transpose(1, 2, 0)),
        line_cross_section=single(cross_section(own_lines.wavelength) * 1e18),
        element_matrix=_one_hot(place[own_lines.element], len(elements)),
        lay=single(np.concatenate(lay, axis=1)),
        sum_up=single(sum_up),
        omega=single(omega),
        bins_per_angstrom=single(1.0 / np.array(steps)),
        pseudo_log_emissivity=single(table.pseudo_log_emissivity[entries].transpose(1, 2, 0)),
        pseudo_element=_one_hot(place[table.pseudo_element[entries]], len(elements)),
        pseudo_bin=pseudo_bin.astype(np.int32),
        broad_width=single(np.diff(table.pseudo_edges)[broad]),
        continuum_log_emissivity=single(
            np.log(np.maximum(continuum, SMALLEST)).transpose(1, 0, 2).reshape(continuum.shape[1], -1)
        ),
        broad_cross_section=single(cross_section(pseudo_centre) * 1e18),
        broad_own=_one_hot((holding - first_broad[:, None]).ravel(), window).reshape(*own.shape, -1),
        broad_smooth=smooth,
        bin_width=single(width),
        reference_abundance=single(np.array([reference_abundance.get(z, 1e-12) for z in elements])),
        calibration_modes=single(modes),
        ln_dilution=np.float32(np.log(4.0 * np.pi) if source is SourceKind.RESOLVED else 0.0),
    )
    layout = Layout(
        channels=len(edges),
        blocks=len(owner),
        bins=bins,
        reach=reach,
        harmonics=count,
        block_channel=tuple(owner),
        first_bin=tuple(first),
        series=tuple(series),
        line_runs=tuple(line_runs),
        broad=window,
        first_broad=tuple(int(x) for x in first_broad),
        channel_bins=tuple(channel_bins),
        profile=instrument.channels[0].profile,
        elements=elements,
    )
    return layout, bank, own_lines.catalogue


def _pseudo_continuum(table: EmissivityTable, edges: list[FloatArray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Broad bins that the channels touch (M,), table entries in them (S,) by bin, and the bin of each entry (S,)."""
    count = len(table.pseudo_edges) - 1
    touched = [np.clip(np.searchsorted(table.pseudo_edges, e) - 1, 0, count - 1) for e in edges]
    broad = np.unique(np.concatenate([np.arange(max(t.min() - 1, 0), min(t.max() + 2, count)) for t in touched]))
    entries = np.flatnonzero(np.isin(table.pseudo_bin, broad))
    entries = entries[np.argsort(table.pseudo_bin[entries], kind="stable")]
    return broad, entries, np.searchsorted(broad, table.pseudo_bin[entries])
