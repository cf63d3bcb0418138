"""The lines that reach an observation: the strong ones one by one, the weak ones gathered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.spectrum import FloatArray

STRONG_SHARE = 1e-3
"""A line that carries this share of its channel's line photons anywhere on the default prior stays by itself."""
GATHERING_WIDTH = 0.3
"""Weak lines of one element within this many widths of each other become one, at their mean wavelength."""
PRIOR_LOG_TEMPERATURE = (5.8, 7.4)
PRIOR_LOG_DENSITIES = (8.0, 9.0, 10.0, 11.0, 12.0)


@dataclass(frozen=True)
class LineCatalogue:
    """What the lines of a model are, for people: (L,) each."""

    wavelength: FloatArray
    label: tuple[str, ...]
    element: np.ndarray
    ion: np.ndarray
    theoretical: np.ndarray
    share: FloatArray


@dataclass(frozen=True)
class LineList:
    """Lines by increasing wavelength.

    Attributes
    ----------
    wavelength, element : (L,)
    log_emissivity : (L, nT, nN)
    catalogue : LineCatalogue
        Gathered lines have ion 0.
    """

    wavelength: FloatArray
    element: np.ndarray
    log_emissivity: np.ndarray
    catalogue: LineCatalogue


def line_shares(
    table: EmissivityTable, ranges: list[tuple[float, float]], reference_abundance: dict[int, float]
) -> FloatArray:
    """Largest share that each line of the table has of the line photons of a channel that it lies in, (L,).

    Over the temperatures and densities of the default prior, at reference abundance; 0 outside all channels.

    Parameters
    ----------
    ranges : list of (low, high) Angstrom
    """
    t = table.log_temperature
    some_t = np.flatnonzero((t >= PRIOR_LOG_TEMPERATURE[0] - 1e-3) & (t <= PRIOR_LOG_TEMPERATURE[1] + 1e-3))[::2]
    some_n = [int(np.argmin(np.abs(table.log_density - n))) for n in PRIOR_LOG_DENSITIES]
    share = np.zeros(len(table.line_wavelength))
    for low, high in ranges:
        inside = np.flatnonzero((table.line_wavelength > low) & (table.line_wavelength < high))
        abundance = np.array([reference_abundance.get(int(z), 1e-12) for z in table.line_element[inside]])
        flux = np.exp(table.line_log_emissivity[inside][:, some_t][:, :, some_n].astype(float))
        flux *= abundance[:, None, None]
        total = np.maximum(flux.sum(axis=0), 1e-300)
        share[inside] = np.maximum(share[inside], (flux / total).max(axis=(1, 2)))
    return share


def _sharpest(wavelength: FloatArray, ranges: list[tuple[float, float]], fwhm: list[float]) -> FloatArray:
    """FWHM of the sharpest of the channels that a line lies in, (N,); every line lies in one."""
    found = np.full(len(wavelength), np.inf)
    for (low, high), width in zip(ranges, fwhm, strict=True):
        inside = (wavelength > low) & (wavelength < high)
        found[inside] = np.minimum(found[inside], width)
    return found


def gather_lines(
    table: EmissivityTable,
    ranges: list[tuple[float, float]],
    fwhm: list[float],
    reference_abundance: dict[int, float],
) -> LineList:
    """List the lines within the ranges of some channels, weak ones of an element summed with their neighbours.

    Parameters
    ----------
    ranges : list of (low, high) Angstrom
    fwhm : list of float
        Of each channel, Angstrom; where channels overlap, the sharpest says what may be gathered.
    """
    share = line_shares(table, ranges, reference_abundance)
    strong = np.flatnonzero(share >= STRONG_SHARE)
    weak = np.flatnonzero((share > 0) & (share < STRONG_SHARE))
    sharpest = _sharpest(table.line_wavelength[weak], ranges, fwhm)
    cell = np.floor(table.line_wavelength[weak] / (GATHERING_WIDTH * sharpest)).astype(np.int64)
    # Cells of another width are others, though they have the same number.
    width = np.unique(sharpest, return_inverse=True)[1]
    keys = (width * (cell.max(initial=0) + 1) + cell) * 100 + table.line_element[weak]
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1)) if len(order) else np.zeros(0, int)
    members = weak[order]
    peak = table.line_log_emissivity[members].max(axis=(1, 2)).astype(float) if len(members) else np.zeros(0)
    summed = np.add.reduceat(np.exp(table.line_log_emissivity[members].astype(float)), starts, axis=0)
    weight = np.exp(peak - peak.max()) if len(peak) else peak
    centre = np.add.reduceat(weight * table.line_wavelength[members], starts) / np.add.reduceat(weight, starts)

    wavelength = np.concatenate([table.line_wavelength[strong], centre])
    element = np.concatenate([table.line_element[strong], table.line_element[members][starts]]).astype(int)
    log_emissivity = np.concatenate([table.line_log_emissivity[strong], np.log(summed).astype(np.float32)])
    ordered = np.argsort(wavelength, kind="stable")
    label = np.concatenate([table.line_label[strong], np.full(len(starts), "")])
    ion = np.concatenate([table.line_ion[strong], np.zeros(len(starts), int)])
    theoretical = np.concatenate([table.line_theoretical[strong], np.zeros(len(starts), bool)])
    gathered_share = np.add.reduceat(share[members], starts) if len(starts) else np.zeros(0)
    shares = np.concatenate([share[strong], np.minimum(gathered_share, STRONG_SHARE)])
    catalogue = LineCatalogue(
        wavelength=wavelength[ordered],
        label=tuple(str(x) for x in label[ordered]),
        element=element[ordered],
        ion=ion[ordered].astype(int),
        theoretical=theoretical[ordered],
        share=shares[ordered],
    )
    return LineList(wavelength[ordered], element[ordered], log_emissivity[ordered], catalogue)
