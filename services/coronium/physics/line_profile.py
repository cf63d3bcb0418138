"""Integrals of the line-spread function over the cells of a fine grid (JAX)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erf

from coronium.physics.instruments.instrument import BETA_INDEX, Profile

GAUSSIAN_FWHM = 2.354820045
BETA_FWHM = 2.0 * (2.0 ** (1.0 / BETA_INDEX) - 1.0) ** 0.5


def cumulative(x: Array, fwhm: Array, profile: Profile) -> Array:
    """Integral of the unit-area profile from minus infinity to x, up to a constant.

    Parameters
    ----------
    x : array
        Distance from the line's centre, any unit of length.
    fwhm : array
        Full width at half maximum, same unit.
    profile : Profile
    """
    if profile is Profile.BETA:
        u = x * (BETA_FWHM / fwhm)
        # Closed form of the integral of (1 + u^2)^(-5/2), whose total is 4/3.
        return 0.25 * u * (2.0 * u**2 + 3.0) / (1.0 + u**2) ** 1.5
    return 0.5 * erf(x * (GAUSSIAN_FWHM / 2.0**0.5) / fwhm)


def kernel(fwhm: Array, shift: Array, reach: int, oversampling: int, profile: Profile) -> Array:
    """Share of a cell's photons that lands in a bin, by the distance of the two: (..., phases, oversampling).

    A line sits at the centre of a cell; a bin is `oversampling` cells wide. Entry [u, p] belongs to the cell
    that lies u * oversampling + p - reach cells above the first cell of the bin.

    Parameters
    ----------
    fwhm, shift : (...,) in cells
    reach : int
        Cells on either side of a bin from which light is collected; the rest is lost (windowed profile).
    oversampling : int
    profile : Profile
    """
    phases = -(-(2 * reach + oversampling) // oversampling)
    cell = jnp.arange(phases * oversampling, dtype=jnp.float32) - reach
    # Left and right edge of the bin as seen from the line, in cells.
    left = -0.5 - cell - shift[..., None]
    upper = cumulative(left + oversampling, fwhm[..., None], profile)
    share = upper - cumulative(left, fwhm[..., None], profile)
    return share.reshape(*share.shape[:-1], phases, oversampling)
