"""Interstellar absorption below the Lyman limit by H I, He I and He II.

Metals are left out: below 44 A they add up to about the same again, which matters only for columns
beyond the default prior (log N_H < 20, optical depth at 20 A below 0.1).
"""

from __future__ import annotations

import numpy as np

from coronium.physics.spectrum import FloatArray

HC_EV_ANGSTROM = 12398.419843320026
NEUTRAL_HELIUM_FRACTION = 0.08
"""N(He I) / N(H I) of the local cloud: N(H I)/N(He I) = 14 (Dupuis et al. 1995, ApJ 455, 574), rounded up for
sight lines that are less ionised."""
IONISED_HELIUM_FRACTION = 0.03
"""N(He II) / N(H I): about a quarter of the helium is ionised (Barstow et al. 1997, MNRAS 286, 58)."""


def hydrogenic_cross_section(wavelength: FloatArray, nuclear_charge: int) -> FloatArray:
    """Photoionisation cross-section of a one-electron ion in its ground state, cm2.

    Osterbrock & Ferland 2006, Astrophysics of Gaseous Nebulae, eq. 2.4.

    Parameters
    ----------
    wavelength : (N,) Angstrom
    nuclear_charge : int
    """
    threshold = 13.598434 * nuclear_charge**2
    energy = HC_EV_ANGSTROM / np.asarray(wavelength, float)
    above = energy > threshold
    epsilon = np.sqrt(np.where(above, energy / threshold - 1.0, 1.0))
    shape = np.exp(4.0 - 4.0 * np.arctan(epsilon) / epsilon) / (1.0 - np.exp(-2.0 * np.pi / epsilon))
    return np.where(above, 6.30e-18 / nuclear_charge**2 * (threshold / energy) ** 4 * shape, 0.0)


def neutral_helium_cross_section(wavelength: FloatArray) -> FloatArray:
    """Photoionisation cross-section of He I, cm2 (Yan, Sadeghpour & Dalgarno 1998, ApJ 496, 1044, eq. 4).

    Parameters
    ----------
    wavelength : (N,) Angstrom
    """
    energy = HC_EV_ANGSTROM / np.asarray(wavelength, float)
    x = np.maximum(energy / 24.587387, 1.0)
    root = np.sqrt(x)
    series = np.polynomial.polynomial.polyval(1.0 / root, [1.0, -4.7416, 14.8200, -30.8678, 37.3584, -23.4585, 5.9133])
    barns = 733.0 / (energy / 1000.0) ** 3.5 * series
    return np.where(energy >= 24.587387, barns * 1e-24, 0.0)


def cross_section(wavelength: FloatArray) -> FloatArray:
    """Absorption cross-section per neutral hydrogen atom, (N,) cm2, of gas with the helium fractions above."""
    return (
        hydrogenic_cross_section(wavelength, 1)
        + NEUTRAL_HELIUM_FRACTION * neutral_helium_cross_section(wavelength)
        + IONISED_HELIUM_FRACTION * hydrogenic_cross_section(wavelength, 2)
    )
