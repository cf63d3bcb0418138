"""Lines that an instrument cannot tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def blend_groups(wavelengths: ArrayLike, fwhm: float) -> NDArray[np.intp]:
    """Group lines closer than half the FWHM: one group carries one label.

    Neighbours are linked, so a chain of close lines is one group however long it is.

    Parameters
    ----------
    wavelengths : (L,) Angstrom, in any order
    fwhm : float
        Of the line-spread function, Angstrom.

    Returns
    -------
    (L,) int
        Group of every line; groups are numbered by increasing wavelength from 0.
    """
    wavelengths = np.asarray(wavelengths, dtype=float)
    order = np.argsort(wavelengths, kind="stable")
    gaps = np.diff(wavelengths[order]) >= 0.5 * fwhm
    groups = np.empty(len(wavelengths), dtype=np.intp)
    groups[order] = np.concatenate([[0], np.cumsum(gaps)]) if len(wavelengths) else []
    return groups
