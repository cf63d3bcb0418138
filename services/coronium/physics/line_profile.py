"""Line-spread functions through their Fourier transforms (JAX).

Lines are laid on a block of bins as a Fourier series over the block and its margins: exact for any position of a
line within a bin, and width and shift of the line-spread function only multiply the coefficients. Two small matrix
products with fixed matrices do the rest.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, vmap
from scipy.special import kv

from coronium.physics.atomic.interpolation import cubic_weights
from coronium.physics.instruments.instrument import BETA_INDEX, Profile

GAUSSIAN_FWHM = 2.354820045
BETA_FWHM = 2.0 * (2.0 ** (1.0 / BETA_INDEX) - 1.0) ** 0.5
FINEST = 2e-3
"""The series ends where the transform of the narrowest line-spread function has fallen to this."""
_BETA_STEP, _BETA_END = 0.05, 16.0


def _beta_transform(x: np.ndarray) -> np.ndarray:
    """Transform of (1 + u^2)^(-5/2), normalised: x^2 K_2(x) / 2 (Gradshteyn & Ryzhik 8.432.5)."""
    positive = np.maximum(x, 1e-6)
    return np.where(x > 1e-6, 0.5 * positive**2 * kv(2, positive), 1.0)


_BETA_NODES = np.arange(0.0, _BETA_END + _BETA_STEP / 2, _BETA_STEP)
_BETA_LOG = np.log(_beta_transform(_BETA_NODES)).astype(np.float32)
_BETA_NODES = _BETA_NODES.astype(np.float32)


def transform(omega: Array, fwhm: Array, profile: Profile) -> Array:
    """Fourier transform of the unit-area profile at angular frequency omega; 1 at zero.

    Parameters
    ----------
    omega : array, radians per unit of length
    fwhm : array, the same unit of length
    profile : Profile
    """
    if profile is Profile.BETA:
        x = omega * fwhm / BETA_FWHM
        start, weights = _beta_weights(jnp.minimum(x, _BETA_END))
        table = jnp.asarray(_BETA_LOG)
        values = sum(table[start + i] * weights[i] for i in range(4))
        return jnp.exp(values)
    return jnp.exp(-0.5 * (omega * fwhm / GAUSSIAN_FWHM) ** 2)


def _beta_weights(x: Array) -> tuple[Array, list[Array]]:
    shape = x.shape
    nodes = jnp.asarray(_BETA_NODES)
    start, weights = vmap(lambda v: cubic_weights(nodes, v))(x.reshape(-1))
    return start.reshape(shape), [weights[:, i].reshape(shape) for i in range(4)]


def harmonics(period: int, narrowest_fwhm: float, profile: Profile) -> int:
    """How many harmonics of a period (in bins) the narrowest profile (FWHM in bins) needs."""
    omega = 2.0 * np.pi * np.arange(1, 4 * period) / period
    if profile is Profile.BETA:
        falls = _beta_transform(omega * narrowest_fwhm / BETA_FWHM)
    else:
        falls = np.exp(-0.5 * (omega * narrowest_fwhm / GAUSSIAN_FWHM) ** 2)
    falls = falls * np.abs(np.sinc(omega / (2.0 * np.pi)))
    return int(np.argmax(np.maximum.accumulate(falls[::-1])[::-1] < FINEST)) + 1
