"""Strengths of single lines, straight from the emissivity table, for plain ratios."""

from __future__ import annotations

import jax
import numpy as np
from jax.typing import ArrayLike

from coronium.physics.atomic.interpolation import interpolate
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.spectrum import FloatArray


def line_photons(
    table: EmissivityTable,
    ion: tuple[int, int],
    wavelength: float,
    log_temperature: ArrayLike,
    log_density: ArrayLike,
    near: float = 0.01,
) -> FloatArray:
    """Emissivity of all lines of an ion within `near` of a wavelength, photons cm3 s-1 at unit abundance.

    Parameters
    ----------
    ion : (atomic number, ionisation stage)
    wavelength, near : float, Angstrom
    log_temperature, log_density : scalar or array, log10 K and log10 cm-3

    Returns
    -------
    array of the common shape of temperature and density

    Raises
    ------
    ValueError
        The table has no such line.
    """
    own = (table.line_element == ion[0]) & (table.line_ion == ion[1])
    lines = np.flatnonzero(own & (np.abs(table.line_wavelength - wavelength) < near))
    if not len(lines):
        raise ValueError(f"The table has no line of element {ion[0]}, stage {ion[1]} within {near} A of {wavelength}.")
    nodes = table.line_log_emissivity[lines], table.log_temperature, table.log_density
    log_t, log_n = np.broadcast_arrays(np.asarray(log_temperature, float), np.asarray(log_density, float))
    values = jax.vmap(lambda t, n: interpolate(*nodes, t, n))(log_t.ravel(), log_n.ravel())
    return np.exp(np.asarray(values, float)).sum(axis=1).reshape(log_t.shape)
