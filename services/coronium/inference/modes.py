"""Find the modes of a posterior: damped Gauss-Newton from a few starting points (temperature, density)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from coronium.inference.likelihood import curvature, log_density
from coronium.inference.linear_algebra import cholesky, inverse_lower, solve_lower, solve_lower_transposed
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ModelArrays, expected_counts
from coronium.physics.parameters import LN10, ParameterSpace, amplitude_prior
from coronium.physics.spectrum import Statistic

NEWTON_STEPS = 20
LEAST_DECREMENT = 0.02
"""A climb ends when neither the last step nor the next one gains more than this in ln density."""
EDGE = 1e-3
"""Starting points keep this share of the prior away from its ends, where the normal map is steep."""
LARGEST_STEP = 3.0
"""Trust region: standard deviations of the prior."""


class Climb(NamedTuple):
    """State of a climb.

    Attributes
    ----------
    point, value : where it is, and ln density there
    information : (D, D) expected there, or where the last step began
    damping : Levenberg's
    gain : ln density won by the last step
    decrement : twice the gain that the last step promised
    steps : made so far
    """

    point: Array
    value: Array
    information: Array
    damping: Array
    gain: Array
    decrement: Array
    steps: Array


class Mode(NamedTuple):
    """One mode and its Gaussian approximation.

    Attributes
    ----------
    z : (D,) position
    log_density : scalar, prior x likelihood there
    cholesky : (D, D) lower factor of the covariance (Fisher information + prior)^-1
    log_evidence : scalar, Laplace's approximation, with the prior's constant
    steps : int, of the climb
    """

    z: Array
    log_density: Array
    cholesky: Array
    log_evidence: Array
    steps: Array


def matched(
    space: ParameterSpace, arrays: ModelArrays, data: Data, log_t: Array, log_n: Array
) -> tuple[Array, Array, Array]:
    """A vector at given temperature and density whose source matches the total counts, and what it expects.

    Returns
    -------
    z : (D,) float32
    source, background : (E, K, B) expected counts
    """
    p = space.priors

    def latent(value: Array, bounds: tuple[float, float]) -> Array:
        share = (value - bounds[0]) / (bounds[1] - bounds[0])
        return norm.ppf(jnp.clip(share, EDGE, 1.0 - EDGE)).astype(jnp.float32)

    z = jnp.zeros(space.size, jnp.float32)
    z = z.at[space.position("log_temperature")].set(latent(log_t, p.log_temperature))
    z = z.at[space.position("log_density")].set(latent(log_n, p.log_density))
    source, background = expected_counts(space, arrays, data, z)
    # Where the model puts its light, so that a bright background does not decide the amplitude.
    weight = data.good * source
    seen = jnp.sum(weight * (data.counts - background)) / jnp.maximum(jnp.sum(weight * source), 1e-30)
    floor = 3.0 / jnp.maximum(jnp.sum(data.good * source), 1e-30)
    sd = LN10 * amplitude_prior(space)[1]
    amplitude = jnp.clip(jnp.log(jnp.maximum(seen, floor)) / sd, -5.0, 5.0)
    # The source is proportional to the emission measure.
    return z.at[space.position("log_amplitude")].set(amplitude), source * jnp.exp(sd * amplitude), background


def climb(space: ParameterSpace, statistic: Statistic, arrays: ModelArrays, data: Data, z: Array) -> Mode:
    """Climb to the nearest mode: Gauss-Newton steps with Levenberg's damping.

    Parameters
    ----------
    z : (D,) starting point
    """

    def density(point: Array) -> Array:
        return log_density(space, statistic, arrays, data, point)

    def step(carry: Climb) -> Climb:
        point = carry.point
        value, gradient, information = curvature(space, statistic, arrays, data, point)
        value = value - 0.5 * jnp.sum(point.astype(jnp.float64) ** 2)
        gradient = gradient - point
        metric = information + jnp.eye(space.size, dtype=jnp.float32)
        lower = cholesky(metric + carry.damping * jnp.diag(jnp.diag(metric)))
        move = solve_lower_transposed(lower, solve_lower(lower, gradient[:, None]))[:, 0]
        decrement = gradient @ move
        move = move * jnp.minimum(1.0, LARGEST_STEP / jnp.maximum(jnp.max(jnp.abs(move)), 1e-6))
        # A full and a shortened step, tried at once: a density costs far less than another Jacobian.
        points = point + jnp.array([[1.0], [0.3]], jnp.float32) * move
        values = jnp.nan_to_num(jax.vmap(density)(points), nan=-jnp.inf)
        best = jnp.argmax(values)
        better = values[best] > value
        return Climb(
            jnp.where(better, points[best], point),
            jnp.where(better, values[best], value),
            information,
            jnp.where(better, jnp.maximum(carry.damping * 0.1, 1e-6), carry.damping * 10.0),
            jnp.where(better, values[best] - value, 0.0),
            decrement,
            carry.steps + 1,
        )

    def unfinished(carry: Climb) -> Array:
        arrived = (carry.decrement < LEAST_DECREMENT) & (carry.gain < LEAST_DECREMENT) & (carry.damping < 1.0)
        return (carry.steps < NEWTON_STEPS) & ~arrived & (carry.damping < 1e5)

    first = Climb(
        z,
        jnp.asarray(-jnp.inf, jnp.float64),
        jnp.zeros((space.size, space.size), jnp.float32),
        jnp.asarray(1e-2, jnp.float32),
        jnp.asarray(jnp.inf, jnp.float64),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.asarray(0, jnp.int32),
    )
    return gaussian(jax.lax.while_loop(unfinished, step, first))


def gaussian(end: Climb) -> Mode:
    """The Gaussian approximation where a climb ended."""
    size = end.point.shape[-1]
    lower = cholesky(end.information.astype(jnp.float64) + jnp.eye(size))
    # Covariance = (L L^T)^-1 = L^-T L^-1; its lower factor comes from a second decomposition.
    inverse = inverse_lower(lower)
    return Mode(
        z=end.point,
        log_density=end.value,
        cholesky=cholesky(inverse.T @ inverse),
        log_evidence=end.value - jnp.sum(jnp.log(jnp.diag(lower))),
        steps=end.steps,
    )
