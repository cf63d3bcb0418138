"""Capella's O VII triplet as counts: exposures and orders of LETG added up, and what else shines in the window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coronium.physics.atomic.interpolation import interpolate
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.spectrum import FloatArray, Spectrum

TRIPLET = (21.602, 21.804, 22.098)
"""Angstrom: resonance, intercombination and forbidden line, as in the emissivity table (CHIANTI)."""
WINDOW = (21.40, 22.36)
"""Angstrom: between the third orders of Mg XII (21.32) and Mg XI (22.42), which no first-order model has."""
OTHER_LINES = ((21.41, 21.54), (21.70, 21.745), (21.91, 22.045))
"""Angstrom: where Ca XVI and third-order Al XIII, S XIV, and Ca XV and O VI stand out of the continuum."""
TEMPLATE_TEMPERATURES = {(8, 6): 6.3, (16, 14): 6.8, (20, 15): 6.7, (20, 16): 6.8, (20, 17): 6.8}
"""(element, ion): log T at which the relative strengths of that ion's lines in the window are taken."""
LEAST_SHARE = 0.01
"""Of an ion's flux in the window; weaker lines are left out."""
THIRD_ORDER = {"Al XIII, third order": 3 * 7.1717}
"""Angstrom: Al XIII Ly alpha, mean of the doublet (NIST)."""


@dataclass(frozen=True)
class Template:
    """Other lines in the window: wavelengths (Angstrom) and relative photon fluxes (sum 1) of one ion."""

    label: str
    wavelength: FloatArray
    share: FloatArray


@dataclass(frozen=True)
class TripletData:
    """N bins of a coadded spectrum.

    Attributes
    ----------
    edges : (N + 1,) Angstrom
    counts : (N,) of the source region
    area_exposure : (N,) cm2 s
    background : (N,) expected background counts in the source region
    """

    edges: FloatArray
    counts: FloatArray
    area_exposure: FloatArray
    background: FloatArray

    @property
    def wavelength(self) -> FloatArray:
        """Bin centres, (N,) Angstrom."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])


def coadded(spectrum: Spectrum, channels: tuple[str, ...] = (), window: tuple[float, float] = WINDOW) -> TripletData:
    """Sum exposures and orders of a star's spectrum within a window.

    Parameters
    ----------
    spectrum : Spectrum
        Channels on one grid, with background regions.
    channels : tuple of str
        Names of the channels to take; empty for all.
    window : (low, high), Angstrom

    Raises
    ------
    ValueError
        A channel without background, or of another grid.
    """
    taken = [channel for channel in spectrum.channels if not channels or channel.name in channels]
    first = taken[0]
    bins = np.flatnonzero((first.wavelength > window[0]) & (first.wavelength < window[1]))
    counts, area, background = np.zeros((3, len(bins)))
    for channel in taken:
        if channel.background is None or channel.background_scale is None:
            raise ValueError(f"Channel {channel.name} has no background region.")
        if not np.array_equal(channel.wavelength_edges, first.wavelength_edges):
            raise ValueError(f"Channel {channel.name} is not on the grid of {first.name}.")
        good = channel.mask[:, bins]
        counts += (channel.counts[:, bins] * good).sum(axis=0, dtype=float)
        area += (channel.area_exposure[:, bins] * good).sum(axis=0, dtype=float)
        scaled = (channel.background[:, bins] / channel.background_scale[:, None]).astype(float)
        # The background has no structure here: its mean over the window is better known than any bin of it.
        background += good.sum(axis=0) * scaled.sum() / max(good.sum(), 1)
    return TripletData(first.wavelength_edges[bins[0] : bins[-1] + 2].astype(float), counts, area, background)


def templates(table: EmissivityTable, window: tuple[float, float] = WINDOW) -> list[Template]:
    """Lines of other ions in the window, relative strengths from the table, and third orders."""
    found = []
    for (element, ion), log_t in TEMPLATE_TEMPERATURES.items():
        own = np.flatnonzero(
            (table.line_element == element)
            & (table.line_ion == ion)
            & (table.line_wavelength > window[0])
            & (table.line_wavelength < window[1])
        )
        nodes = table.log_temperature, table.log_density
        strength = np.exp(np.asarray(interpolate(table.line_log_emissivity[own], *nodes, log_t, 9.5), float))
        own, strength = own[strength > LEAST_SHARE * strength.sum()], strength[strength > LEAST_SHARE * strength.sum()]
        label = str(table.line_label[own][np.argmax(strength)]).rsplit(" ", 1)[0]
        found.append(Template(label, table.line_wavelength[own], strength / strength.sum()))
    return found + [Template(label, np.array([w]), np.ones(1)) for label, w in THIRD_ORDER.items()]
