"""Effective areas of Hinode/EIS: before launch, at any date since, and how far they may be wrong.

The laboratory calibration (Lang et al. 2006) stopped being right in flight: by 2021 the long-wave channel
had lost two thirds of its area, the short-wave one a third. Areas here are those of Del Zanna, Weberg &
Warren (arXiv:2308.06609), twice a year from 2007 to 2022.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np

from coronium.physics.spectrum import FloatArray

ARCSECOND = np.pi / 180 / 3600
PIXEL_SOLID_ANGLE = 2 * ARCSECOND**2
"""One pixel behind the 2 arcsec slit: 2 x 1 arcsec, in sr."""


@cache
def _tables() -> dict[str, FloatArray]:
    with np.load(str(files("coronium.physics") / "data" / "eis_calibration.npz"), allow_pickle=False) as file:
        return {key: file[key].astype(float) for key in file.files}


def _band(wavelength: FloatArray) -> str:
    return "sw" if np.mean(wavelength) < 230 else "lw"


def preflight_area(wavelength: FloatArray) -> FloatArray:
    """Effective area measured in the laboratory, cm2 (Lang et al. 2006).

    Parameters
    ----------
    wavelength : (N,) Angstrom, all of one channel (165-213 or 245-292)

    Returns
    -------
    (N,) cm2
    """
    tables, band = _tables(), _band(wavelength)
    return np.exp(np.interp(wavelength, tables[f"{band}_wavelength"], np.log(tables[f"{band}_preflight"])))


def effective_area(wavelength: FloatArray, year: float) -> FloatArray:
    """Effective area at a date, cm2 (Del Zanna et al.), linear in time between half-years.

    Parameters
    ----------
    wavelength : (N,) Angstrom, all of one channel (165-213 or 245-292)
    year : float
        Decimal year; before 2007.25 and after 2022.25 the nearest epoch serves.

    Returns
    -------
    (N,) cm2
    """
    tables, band = _tables(), _band(wavelength)
    at_date = np.array([np.interp(year, tables["year"], row) for row in tables[f"{band}_area"]])
    return np.exp(np.interp(wavelength, tables[f"{band}_wavelength"], np.log(at_date)))


def calibration_modes(wavelength: FloatArray) -> FloatArray:
    """Modes of ln(true area / area) from the spread between the published versions.

    The versions are the laboratory's, Warren et al. (2014), Young & Mondal (2024) and Del Zanna et al.;
    rms over both channels 0.225, against the 20 % that Del Zanna et al. quote. The first mode moves the
    long-wave channel against the short-wave one.

    Parameters
    ----------
    wavelength : (N,) Angstrom

    Returns
    -------
    (3, N)
    """
    tables = _tables()
    return np.array([np.interp(wavelength, tables["mode_wavelength"], mode) for mode in tables["modes"]])


def read_noise(wavelength: FloatArray) -> float:
    """Read noise of one pixel, photons.

    2.29 DN x 6.3 electrons per DN, divided by the electrons that one photon frees (its energy over
    3.65 eV): the numbers of the EIS team's own `eispac.instr.calc_read_noise`.
    """
    electrons_per_photon = 12398.5 / np.mean(wavelength) / 3.65
    return float(2.29 * 6.3 / electrons_per_photon)
