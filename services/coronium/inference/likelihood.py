"""Log-likelihood of the raw data, and the density that the samplers see."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, jacfwd
from scipy.special import gammaln

from coronium.physics.observation_model import Data, ModelArrays, expected_counts
from coronium.physics.parameters import ParameterSpace
from coronium.physics.spectrum import Statistic

LEAST_COUNTS = 1e-8
FLUX_SYSTEMATIC = 0.03
"""Relative error of calibrated fluxes beyond their quoted noise."""


def _poisson(n: Array, mu: Array) -> Array:
    """Poisson log-likelihood relative to the saturated model: small terms, exact in float32."""
    mu = jnp.maximum(mu, LEAST_COUNTS)
    return jnp.where(n > 0, n * jnp.log(mu / jnp.maximum(n, 0.5)), 0.0) - mu + n


def variance(statistic: Statistic, mu: Array, read_variance: Array) -> Array:
    """Variance of Gaussian data, from the model and never from the data, (E, K, B).

    Counts: model counts + read-out noise. Fluxes: quoted noise + a systematic share of the model.
    """
    if statistic is Statistic.FLUX:
        return read_variance + (FLUX_SYSTEMATIC * mu) ** 2 + 1e-30
    return jnp.maximum(mu, LEAST_COUNTS) + read_variance


def pointwise(statistic: Statistic, data: Data, source: Array, background: Array) -> tuple[Array, Array]:
    """Log-likelihood of each bin of the source and of the background region, (E, K, B) each.

    Poisson terms are relative to the saturated model; see `saturated`.
    """
    mu = source + background
    if statistic is Statistic.POISSON:
        on = _poisson(data.counts, mu)
    else:
        v = variance(statistic, mu, data.read_variance)
        on = -0.5 * ((data.counts - mu) ** 2 / v + jnp.log(2.0 * jnp.pi * v))
    scale = data.background_scale[:, None, None]
    off = jnp.where(scale > 0, _poisson(data.background, background * scale), 0.0)
    return on * data.good, off * data.good


def log_likelihood(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Array:
    """Log-likelihood of an observation, float64 scalar, up to `saturated`.

    Parameters
    ----------
    space, statistic
        Static.
    arrays : ModelArrays
    data : Data
    z : (D,) unknowns
    """
    source, background = expected_counts(space, arrays, data, z)
    on, off = pointwise(statistic, data, source, background)
    return jnp.sum(on, dtype=jnp.float64) + jnp.sum(off, dtype=jnp.float64)


def saturated(statistic: Statistic, data: Data) -> float:
    """Log-likelihood of the saturated Poisson model: what `log_likelihood` leaves out."""

    def term(n: np.ndarray) -> float:
        n = n.astype(float)
        return float((np.where(n > 0, n * np.log(np.maximum(n, 1.0)), 0.0) - n - gammaln(n + 1.0)).sum())

    good = np.asarray(data.good) > 0
    total = term(np.asarray(data.counts)[good]) if statistic is Statistic.POISSON else 0.0
    regions = good & (np.asarray(data.background_scale)[:, None, None] > 0)
    return total + term(np.asarray(data.background)[regions])


def log_density(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Array:
    """Log of prior x likelihood, without the prior's constant, float64 scalar."""
    return log_likelihood(space, statistic, arrays, data, z) - 0.5 * jnp.sum(z.astype(jnp.float64) ** 2)


def fisher(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Array:
    """Expected information of the data about the unknowns, (D, D) float32; the prior adds the identity."""

    def means(point: Array) -> tuple[Array, Array]:
        source, background = expected_counts(space, arrays, data, point)
        return (source + background).reshape(-1), background.reshape(-1)

    z = z.astype(jnp.float32)
    (mu, background), (d_mu, d_background) = means(z), jacfwd(means)(z)
    good = data.good.reshape(-1)
    if statistic is Statistic.POISSON:
        weight = good / jnp.maximum(mu, LEAST_COUNTS)
    else:
        weight = good / variance(statistic, mu, data.read_variance.reshape(-1))
    scale = jnp.broadcast_to(data.background_scale[:, None, None], data.good.shape).reshape(-1)
    off = good * scale / jnp.maximum(background, LEAST_COUNTS)
    information = (d_mu * weight[:, None]).T @ d_mu
    return information + (d_background * off[:, None]).T @ d_background
