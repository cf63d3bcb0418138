"""Turn solved ions into the arrays of the emissivity table: refine, select, sum the rest into bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse import csr_array

from coronium.physics.abundances import SYMBOLS
from coronium.physics.atomic.selection import (
    CANDIDATE_SHARE,
    INSTRUMENT_BANDS,
    PSEUDO_BIN_WIDTH,
    blend_width,
    choose_lines,
    fold_minor_elements,
)
from coronium.physics.spectrum import FloatArray

WAVELENGTH_RANGE = (1.0, 400.0)
"""Angstrom."""
SOLVED_LOG_TEMPERATURE = np.round(np.arange(5.5, 7.6001, 0.05), 3)
"""Where populations are solved, log10 K."""
LOG_TEMPERATURE = np.round(np.arange(5.5, 7.6001, 0.025), 3)
"""The table's nodes, log10 K: twice as fine, because ionisation is less smooth than populations."""
LOG_DENSITY = np.round(np.arange(7.0, 13.001, 0.25), 3)
"""log10 cm-3, solved and tabulated."""
RELEVANT_FLUX = 1e-4
"""Where a band's line flux is below this share of its greatest one, no line is kept for that node's sake."""
ALONE_SHARE = 0.003
"""A line above this share of an instrument band at any node is a feature of its own."""
MINOR_SHARE = 1e-3
"""An element below this share of a bin at every node joins the bin's most important one."""
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


@dataclass(frozen=True)
class IonLines:
    """One ion on the solved grid: its lines and the populations they start from.

    Attributes
    ----------
    element, stage : int
        Atomic number, ionisation stage (1 is neutral).
    ion_fraction : (T,) array
        Equilibrium share of the element in this stage, at the table's temperatures.
    wavelength : (K,) array
        Angstrom.
    theoretical : (K,) bool array
        True where the wavelength is computed from theoretical levels.
    upper : (K,) int array
        CHIANTI number of the upper level.
    decay_rate : (K,) array
        A_ji, s-1.
    level : (U,) int array
        The distinct upper levels, increasing.
    log_population : (U, S, N) float32 array
        ln(N_j / n_e), cm3, at the solved temperatures.
    """

    element: int
    stage: int
    ion_fraction: FloatArray
    wavelength: FloatArray
    theoretical: np.ndarray
    upper: np.ndarray
    decay_rate: FloatArray
    level: np.ndarray
    log_population: FloatArray

    @property
    def name(self) -> str:
        """For example "Fe XII"."""
        tens, ones = divmod(self.stage, 10)
        return f"{SYMBOLS[self.element - 1]} {'X' * tens}{_ROMAN[ones - 1] if ones else ''}"

    @property
    def chianti_name(self) -> str:
        """For example "fe_12"."""
        return f"{SYMBOLS[self.element - 1].lower()}_{self.stage}"

    @property
    def upper_index(self) -> np.ndarray:
        """Row of `log_population` from which each line starts."""
        return np.searchsorted(self.level, self.upper)


def refine_temperature(log_value: FloatArray) -> FloatArray:
    """Carry (K, S, N) natural logarithms from the solved temperatures to the table's, by a cubic spline."""
    return CubicSpline(SOLVED_LOG_TEMPERATURE, log_value, axis=1)(LOG_TEMPERATURE)


def solved_flux(ion: IonLines, abundance: dict[int, float]) -> FloatArray:
    """Return photons cm3 s-1 of every line at the solved nodes, (K, S * N) float32, abundance included."""
    population = np.exp(ion.log_population) * (ion.ion_fraction[::2] * abundance[ion.element])[:, None]
    flux = population[ion.upper_index] * ion.decay_rate[:, None, None].astype(np.float32)
    return flux.reshape(len(ion.wavelength), -1)


def solved_totals(ions: Sequence[IonLines], abundance: dict[int, float]) -> dict[str, FloatArray]:
    """Return all line photons of every instrument band at the solved nodes, (S * N,)."""
    totals: dict[str, Any] = dict.fromkeys(INSTRUMENT_BANDS, 0.0)
    for ion in ions:
        flux = solved_flux(ion, abundance)
        for name, (low, high) in INSTRUMENT_BANDS.items():
            inside = (ion.wavelength >= low) & (ion.wavelength < high)
            totals[name] = totals[name] + flux[inside].sum(axis=0, dtype=np.float64)
    return totals


def blend_lines(
    ions: Sequence[IonLines], abundance: dict[int, float], totals: dict[str, FloatArray]
) -> list[np.ndarray]:
    """Return, per ion, the feature that each of its lines belongs to: strong lines alone, weak ones by cell."""
    features = []
    for ion in ions:
        flux = solved_flux(ion, abundance)
        strong = np.zeros(len(ion.wavelength), dtype=bool)
        for name, (low, high) in INSTRUMENT_BANDS.items():
            inside = np.flatnonzero((ion.wavelength >= low) & (ion.wavelength < high))
            strong[inside] |= (flux[inside] / totals[name]).max(axis=1, initial=0.0) > ALONE_SHARE
        width = blend_width(ion.wavelength)
        cell = np.rint(np.floor(ion.wavelength / width + 1e-6) * width * 1000.0).astype(np.int64)
        cell[strong] = -1 - np.arange(strong.sum())
        features.append(np.unique(cell, return_inverse=True)[1])
    return features


def select_features(
    ions: Sequence[IonLines],
    features: Sequence[np.ndarray],
    abundance: dict[int, float],
    totals: dict[str, FloatArray],
) -> dict[str, np.ndarray]:
    """Return, for every instrument band, which features (counted through all ions) are kept."""

    index: dict[str, list[np.ndarray]] = {name: [] for name in INSTRUMENT_BANDS}
    shares: dict[str, list[FloatArray]] = {name: [] for name in INSTRUMENT_BANDS}
    start = 0
    for ion, feature in zip(ions, features, strict=True):
        order = np.argsort(feature, kind="stable")
        first = np.searchsorted(feature[order], np.arange(feature.max() + 1))
        wavelength = ion.wavelength[order][first]
        flux = np.add.reduceat(solved_flux(ion, abundance)[order], first, axis=0)
        for name, (low, high) in INSTRUMENT_BANDS.items():
            inside = np.flatnonzero((wavelength >= low) & (wavelength < high))
            share = flux[inside] / totals[name].astype(np.float32)
            strong = share.max(axis=1, initial=0.0) > CANDIDATE_SHARE
            index[name].append(start + inside[strong])
            shares[name].append(share[strong])
        start += len(wavelength)
    chosen = {}
    for name in INSTRUMENT_BANDS:
        relevant = totals[name] > RELEVANT_FLUX * np.max(totals[name])
        chosen[name] = np.concatenate(index[name])[choose_lines(np.concatenate(shares[name])[:, relevant])]
    return chosen


@dataclass(frozen=True)
class Features:
    """Kept features of one ion on the table's nodes.

    Attributes
    ----------
    wavelength : (F,) array
        Angstrom; of a blend, the mean weighted with each line's peak.
    theoretical : (F,) bool array
        True where the strongest line's wavelength is computed.
    log_emissivity : (F, T, N) float32 array
        ln photons cm3 s-1 at unit abundance.
    """

    wavelength: FloatArray
    theoretical: np.ndarray
    log_emissivity: FloatArray


def tabulate_features(ion: IonLines, feature: np.ndarray, kept: np.ndarray) -> Features:
    """Sum an ion's lines into the features `kept` (F,) and refine them to the table's temperatures."""
    population = np.exp(ion.log_population.astype(np.float64))
    peak = population.max(axis=(1, 2))[ion.upper_index] * ion.decay_rate
    wavelength, theoretical, emissivity = [], [], []
    for number in kept:
        lines = np.flatnonzero(feature == number)
        wavelength.append(np.average(ion.wavelength[lines], weights=peak[lines] + 1e-300))
        theoretical.append(ion.theoretical[lines[np.argmax(peak[lines])]])
        emissivity.append(np.tensordot(ion.decay_rate[lines], population[ion.upper_index[lines]], axes=1))
    summed = np.log(np.maximum(np.reshape(emissivity, (len(kept), *population.shape[1:])), 1e-60))
    fraction = np.log(np.maximum(ion.ion_fraction, 1e-60))[:, None]
    return Features(
        wavelength=np.array(wavelength),
        theoretical=np.array(theoretical, dtype=bool),
        log_emissivity=(refine_temperature(summed) + fraction).astype(np.float32),
    )


def bin_edges() -> FloatArray:
    """Return the edges of the pseudo-continuum's bins, Angstrom."""
    low, high = WAVELENGTH_RANGE
    return low + PSEUDO_BIN_WIDTH * np.arange(round((high - low) / PSEUDO_BIN_WIDTH) + 1)


def add_binned(target: dict[tuple[int, int], FloatArray], ion: IonLines, lines: np.ndarray) -> None:
    """Add some lines of one ion to (bin, element) sums on the table's nodes, at unit abundance."""
    if not len(lines):
        return
    number = ((ion.wavelength[lines] - WAVELENGTH_RANGE[0]) / PSEUDO_BIN_WIDTH).astype(int)
    bins, row = np.unique(number, return_inverse=True)
    rate = csr_array((ion.decay_rate[lines], (row, ion.upper_index[lines])), (len(bins), len(ion.level)))
    population = np.exp(ion.log_population.astype(np.float64))
    summed = (rate @ population.reshape(len(population), -1)).reshape(-1, *population.shape[1:])
    emissivity = np.exp(refine_temperature(np.log(np.maximum(summed, 1e-60)))) * ion.ion_fraction[:, None]
    for b, value in zip(bins, emissivity, strict=True):
        key = int(b), ion.element
        target[key] = target.get(key, 0.0) + value


def pseudo_continuum(
    ions: Sequence[IonLines], kept: Sequence[np.ndarray], abundance: dict[int, float]
) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Return bin, element and ln emissivity (P, T, N) of everything that was not kept."""
    rest: dict[tuple[int, int], FloatArray] = {}
    everything: dict[tuple[int, int], FloatArray] = {}
    for ion, mask in zip(ions, kept, strict=True):
        add_binned(rest, ion, np.flatnonzero(~mask))
        add_binned(everything, ion, np.flatnonzero(mask))
    for key, value in rest.items():
        everything[key] = everything.get(key, 0.0) + value
    totals = np.zeros((len(bin_edges()) - 1, len(LOG_TEMPERATURE), len(LOG_DENSITY)))
    for (b, element), value in everything.items():
        totals[b] += abundance[element] * value
    merged = fold_minor_elements(rest, abundance, totals, MINOR_SHARE)
    keys = sorted(merged)
    emissivity = np.array([merged[key] for key in keys])
    bins, elements = (np.array(column) for column in zip(*keys, strict=True))
    return bins, elements, np.log(np.maximum(emissivity, 1e-60)).astype(np.float32)
