"""Find the modes of a posterior: damped Gauss-Newton from a few starting points (temperature, density)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from coronium.inference.likelihood import curvature, log_density
from coronium.inference.linear_algebra import cholesky, inverse_lower
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ModelArrays, expected_counts
from coronium.physics.parameters import LN10, ParameterSpace, amplitude_prior
from coronium.physics.spectrum import Statistic

MOST_JACOBIANS = 10
STEPS_PER_JACOBIAN = 8
"""A Jacobian costs some thirty gradients: its information serves for a few steps."""
LEAST_DECREMENT = 0.02
"""A climb ends when neither the steps of the last Jacobian nor the next step gain more than this in ln density."""
EDGE = 1e-3
"""Starting points keep this share of the prior away from its ends, where the normal map is steep."""
LARGEST_STEP = 3.0
"""Trust region: standard deviations of the prior."""
MOST_DAMPING = 1e5


class Place(NamedTuple):
    """Where a climb is: unknowns, ln density there, and its gradient."""

    point: Array
    value: Array
    gradient: Array


class Climb(NamedTuple):
    """State of a climb.

    Attributes
    ----------
    place : Place
    information : (D, D) expected where the last Jacobian was taken
    damping : Levenberg's
    gain : ln density won since
    decrement : twice the gain that the step there promised
    jacobians : taken so far
    """

    place: Place
    information: Array
    damping: Array
    gain: Array
    decrement: Array
    jacobians: Array


class Mode(NamedTuple):
    """One mode and its Gaussian approximation.

    Attributes
    ----------
    z : (D,) position
    cholesky : (D, D) lower factor of the covariance (Fisher information + prior)^-1
    log_evidence : scalar, Laplace's approximation, with the prior's constant
    """

    z: Array
    cholesky: Array
    log_evidence: Array


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
    """Climb to the nearest mode: Gauss-Newton with Levenberg's damping, and quasi-Newton steps with each Jacobian.

    Unknowns that are held (`ParameterSpace.held`) stay where the climb begins.

    Parameters
    ----------
    z : (D,) starting point
    """

    free = jnp.asarray(~space.held, jnp.float32)

    @jax.vmap
    def density(point: Array) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(lambda p: log_density(space, statistic, arrays, data, p))(point)
        return jnp.nan_to_num(value, nan=-jnp.inf), gradient * free

    def step(place: Place, inverse: Array) -> tuple[Place, Array]:
        move = inverse @ place.gradient
        inside = jnp.minimum(1.0, LARGEST_STEP / jnp.maximum(jnp.max(jnp.abs(move)), 1e-6))
        # A full and a shortened step, tried at once.
        scales = inside * jnp.array([1.0, 0.3], jnp.float32)
        values, gradients = density(place.point + scales[:, None] * move)
        best = jnp.argmax(values)
        reached = Place(place.point + scales[best] * move, values[best], gradients[best])
        # What a step shows of the curvature makes the next one better, even if it led down.
        inverse = secant(inverse, scales[best] * move, scales[best] * place.gradient, place.gradient - reached.gradient)
        return jax.tree.map(lambda a, b: jnp.where(reached.value > place.value, a, b), reached, place), inverse

    def stretch(climbed: Climb) -> Climb:
        here = climbed.place.point
        value, gradient, information = curvature(space, statistic, arrays, data, here)
        place = Place(here, value - 0.5 * jnp.sum(here.astype(jnp.float64) ** 2), (gradient - here) * free)
        metric = information + jnp.eye(space.size, dtype=jnp.float32)
        root = inverse_lower(cholesky(metric + climbed.damping * jnp.diag(jnp.diag(metric))))
        inverse = root.T @ root
        decrement = place.gradient @ inverse @ place.gradient
        (end, _), _ = jax.lax.scan(lambda now, _: (step(*now), None), (place, inverse), None, STEPS_PER_JACOBIAN)
        gain = end.value - place.value
        damping = jnp.where(gain > 0.0, jnp.maximum(0.1 * climbed.damping, 1e-6), 100.0 * climbed.damping)
        return Climb(end, information, damping, gain, decrement, climbed.jacobians + 1)

    def unfinished(climbed: Climb) -> Array:
        arrived = (climbed.decrement < LEAST_DECREMENT) & (climbed.gain < LEAST_DECREMENT) & (climbed.damping < 1.0)
        return (climbed.jacobians < MOST_JACOBIANS) & ~arrived & (climbed.damping < MOST_DAMPING)

    first = Climb(
        Place(z, jnp.asarray(-jnp.inf, jnp.float64), jnp.zeros_like(z)),
        jnp.zeros((space.size, space.size), jnp.float32),
        jnp.asarray(1e-2, jnp.float32),
        jnp.asarray(jnp.inf, jnp.float64),
        jnp.asarray(jnp.inf, jnp.float32),
        jnp.asarray(0, jnp.int32),
    )
    return gaussian(jax.lax.while_loop(unfinished, stretch, first))


def secant(inverse: Array, step: Array, pushed: Array, change: Array) -> Array:
    """An inverse metric (D, D) updated by what a step did to the gradient: BFGS with Powell's damping.

    Nocedal & Wright 2006, Numerical Optimization, equation 6.17 and procedure 18.2; it stays positive definite but for
    rounding, and where that shows it is not updated.

    Parameters
    ----------
    step, pushed : (D,), metric @ step
    change : (D,) of the gradient of minus the density
    """
    along, seen = step @ pushed, step @ change
    share = jnp.where(seen >= 0.2 * along, 1.0, 0.8 * along / jnp.maximum(along - seen, 1e-30))
    mixed = share * change + (1.0 - share) * pushed
    slope = step @ mixed
    across = inverse @ mixed
    updated = (
        inverse
        + jnp.outer(step, step) * (slope + mixed @ across) / slope**2
        - (jnp.outer(across, step) + jnp.outer(step, across)) / slope
    )
    sound = (along > 1e-12) & (mixed @ across > 0.0) & jnp.all(jnp.isfinite(updated))
    return jnp.where(sound, updated, inverse)


def gaussian(end: Climb) -> Mode:
    """The Gaussian approximation where a climb ended."""
    size = end.place.point.shape[-1]
    lower = cholesky(end.information.astype(jnp.float64) + jnp.eye(size))
    # Covariance = (L L^T)^-1 = L^-T L^-1; its lower factor comes from a second decomposition.
    inverse = inverse_lower(lower)
    return Mode(
        z=end.place.point,
        cholesky=cholesky(inverse.T @ inverse),
        log_evidence=end.place.value - jnp.sum(jnp.log(jnp.diag(lower))),
    )
