"""Log-likelihood of the raw data, and the density that the samplers see."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, jacfwd, value_and_grad
from scipy.special import gammaln

from coronium.physics.observation_model import Data, ModelArrays, erring_counts, expected_counts, gain_shape
from coronium.physics.parameters import ParameterSpace, exposure_information, exposure_log_prior, model_error
from coronium.physics.spectrum import Statistic

LEAST_COUNTS = 1e-8


def _poisson(n: Array, mu: Array) -> Array:
    """Poisson log-likelihood relative to the saturated model: small terms, exact in float32."""
    mu = jnp.maximum(mu, LEAST_COUNTS)
    return jnp.where(n > 0, n * jnp.log(mu / jnp.maximum(n, 0.5)), 0.0) - mu + n


def _stirling(x: Array) -> Array:
    """ln Gamma(x) less its leading terms, for x >= 1 (Abramowitz & Stegun 6.1.41)."""
    return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x**2)) / x**2) / x


def _poisson_with_error(n: Array, mu: Array, error: Array) -> Array:
    """Poisson counts with a gamma-distributed gain per bin, relative to the saturated model, (K, B).

    The gain, shared by the exposures, has mean one and gives the expected counts a standard deviation `error`. With
    it integrated out, the total of the exposures is negative-binomial and its split over them multinomial.

    Parameters
    ----------
    n, mu, error : (E, K, B)
    """
    split = jnp.where(n > 0, n * jnp.log(jnp.maximum(mu, LEAST_COUNTS) / jnp.maximum(n, 0.5)), 0.0).sum(0)
    total, expected = n.sum(0), jnp.maximum(mu.sum(0), LEAST_COUNTS)
    shape = gain_shape(expected, error.sum(0))
    # Written so that large shapes cancel nothing: the limit is the Poisson distribution's total - expected.
    gained = (total + shape) * jnp.log1p((total - expected) / (shape + expected))
    return split + gained - 0.5 * jnp.log1p(total / shape) + _stirling(total + shape) - _stirling(shape)


def variance(statistic: Statistic, mu: Array, read_variance: Array) -> Array:
    """Variance of a bin's data about the model, its own error apart, from the model and never from the data, (E, K, B).

    Counts: model counts, with read-out noise where there is any. Fluxes: quoted noise.
    """
    if statistic is Statistic.FLUX:
        return read_variance + 1e-30
    return jnp.maximum(mu, LEAST_COUNTS) + read_variance


def _gaussian_with_error(residual: Array, v: Array, error: Array) -> Array:
    """Gaussian log-likelihood with covariance v + e e^T over the exposures of a bin, (K, B)."""
    weighted = error / v
    spread = 1.0 + (error * weighted).sum(0)
    square = (residual**2 / v).sum(0) - (residual * weighted).sum(0) ** 2 / spread
    return -0.5 * (square + jnp.log(2.0 * jnp.pi * v).sum(0) + jnp.log(spread))


def pointwise(
    statistic: Statistic, data: Data, source: Array, background: Array, error: Array | None = None
) -> tuple[Array, Array]:
    """Log-likelihood of each bin of the source (K, B), and of the background region (E, K, B).

    Poisson terms are relative to the saturated model; see `saturated`.

    Parameters
    ----------
    source, background : (E, K, B) expected counts
    error : (E, K, B), optional
        Standard deviation of the model's own error; without it the data have their noise alone.
    """
    mu = source + background
    error = jnp.zeros_like(mu) if error is None else error * data.good
    if statistic is Statistic.POISSON:
        on = _poisson_with_error(data.counts * data.good, mu * data.good, error)
    else:
        # A masked bin has no source, no residual and unit variance / 2 pi: it adds nothing.
        v = jnp.where(data.good > 0, variance(statistic, mu, data.read_variance), 0.5 / jnp.pi)
        on = _gaussian_with_error((data.counts - mu) * data.good, v, error)
    scale = data.background_scale[:, None, None]
    off = jnp.where(scale > 0, _poisson(data.background, background * scale), 0.0)
    return on, off * data.good


def log_likelihood(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Array:
    """Log-likelihood of an observation, float64 scalar, up to `saturated`; z is standard normal a priori.

    What the prior has beside standard normals (`exposure_log_prior`) counts as likelihood.

    Parameters
    ----------
    space, statistic
        Static.
    arrays : ModelArrays
    data : Data
    z : (D,) unknowns
    """
    return likelihood_of(space, statistic, arrays, data, z, *expected_counts(space, arrays, data, z))


def likelihood_of(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    z: Array,
    source: Array,
    background: Array,
) -> Array:
    """`log_likelihood` where the expected counts (E, K, B) of z are known already."""
    error = model_error(space, z) * erring_counts(arrays, source, background)
    on, off = pointwise(statistic, data, source, background, error)
    return jnp.sum(on, dtype=jnp.float64) + jnp.sum(off, dtype=jnp.float64) + exposure_log_prior(space, z)


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


def curvature(
    space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array
) -> tuple[Array, Array, Array]:
    """Log-likelihood, its gradient, and the expected information of the data about the unknowns, from one Jacobian.

    Returns
    -------
    value : scalar float64
    gradient : (D,) float32
    information : (D, D) float32
        The prior adds the identity.
    """

    def means(point: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        both = expected_counts(space, arrays, data, point)
        return both, both

    z = z.astype(jnp.float32)
    (d_source, d_background), (source, background) = jacfwd(means, has_aux=True)(z)
    at = space.position("model_error")
    relative = model_error(space, z)

    def value_of(source: Array, background: Array, relative: Array) -> Array:
        on, off = pointwise(statistic, data, source, background, relative * erring_counts(arrays, source, background))
        return jnp.sum(on, dtype=jnp.float64) + jnp.sum(off, dtype=jnp.float64)

    value, (by_source, by_background, by_relative) = value_and_grad(value_of, (0, 1, 2))(source, background, relative)
    gradient = jnp.einsum("ekb,ekbd->d", by_source, d_source) + jnp.einsum("ekb,ekbd->d", by_background, d_background)
    gradient = gradient.at[at].add(by_relative * relative * space.priors.model_error[1])

    mu, d_mu = source + background, d_source + d_background
    weight = data.good / variance(statistic, mu, data.read_variance)
    scale = data.background_scale[:, None, None]
    off = data.good * scale / jnp.maximum(background, LEAST_COUNTS)

    def product(weights: Array, slopes: Array) -> Array:
        flat = slopes.reshape(-1, space.size)
        return (flat * weights.reshape(-1)[:, None]).T @ flat

    # The model's error is one for all exposures of a bin: the matrix of weights loses a term of rank one.
    error = relative * erring_counts(arrays, source, background)
    free = jnp.ones_like(mu[0])
    if statistic is Statistic.POISSON:
        # Where the gain's error is held at 100 %, it does not depend on the unknown.
        free = (error.sum(0) < mu.sum(0)).astype(mu.dtype)
        error = jnp.minimum(error, mu)
    pull = weight * error
    noise_ratio = (pull * error).sum(0)
    shared = jnp.einsum("ekb,ekbd->kbd", pull, d_mu)
    information = product(weight, d_mu) - product(1.0 / (1.0 + noise_ratio), shared) + product(off, d_background)
    scatter = 2.0 * space.priors.model_error[1] * free * noise_ratio / (1.0 + noise_ratio)
    information = information.at[at, at].add(0.5 * jnp.sum(scatter**2))
    prior, slope = value_and_grad(lambda point: exposure_log_prior(space, point))(z)
    return value + prior, gradient + slope, information + jnp.diag(exposure_information(space, z))


def fisher(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Array:
    """Expected information of the data about the unknowns, (D, D) float32; the prior adds the identity."""
    return curvature(space, statistic, arrays, data, z)[2]
