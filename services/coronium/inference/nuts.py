"""The No-U-Turn sampler (numpyro), in coordinates where the posterior is nearly a unit Gaussian.

Hoffman & Gelman 2014, JMLR 15, 1593. Chains begin in coordinates whitened by the Fisher metric of their mode, which is
the posterior's curvature only where the model fits and where nothing is skew. So they run in rounds: after each round
the metric is improved by the draws of all chains of the same mode. In a round the step size adapts, then stays.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer.hmc import hmc

from coronium.inference.likelihood import log_density
from coronium.inference.linear_algebra import cholesky as decompose
from coronium.inference.linear_algebra import inverse_lower, solve_lower
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ModelArrays
from coronium.physics.parameters import ParameterSpace
from coronium.physics.spectrum import Statistic

TARGET_ACCEPTANCE = 0.7
DEEPEST_TREE = 3
"""Lanes of a batch wait for the slowest: 7 leapfrogs cross a posterior in whitened coordinates."""
LONGEST_WARMUP = 19
"""NumPyro cuts a longer warm-up into windows and lets the step size begin anew at the end of each."""
FIRST_STEP = 0.06
"""Dual averaging draws the step size towards ten times the first one."""
SPREAD = 1.0
"""Chains start this many posterior standard deviations around their mode, so that R-hat can fail."""
DRAWS_PER_INDEPENDENT = 2.0
"""Of a chain in whitened coordinates, roughly."""


class Chain(NamedTuple):
    """Chains of one spectrum: C of them with S kept draws each, those of the first round not among them.

    Attributes
    ----------
    z : (C, S, D) float64
    diverging : (C, S) bool
    steps : (C, S) int, leapfrog steps of each draw
    log_density : (C, S)
    mean, cholesky : (C, D), (C, D, D)
        Mean and lower factor of the covariance of the last round, shrunk towards the metric that it ran in.
    """

    z: Array
    diverging: Array
    steps: Array
    log_density: Array
    mean: Array
    cholesky: Array


def sample(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    choleskys: Array,
    keys: Array,
    rounds: int,
    warmup: int,
    draws: int,
) -> Chain:
    """Run the chains of one spectrum; made to be batched with `vmap` over data, modes and keys.

    Parameters
    ----------
    means, choleskys : (C, D), (C, D, D)
        Each chain's mode and the lower factor of its covariance: z = mean + cholesky u.
    keys : (C,) PRNG keys
    rounds, warmup, draws : int
        Static. Steps of a round that adapt the step size, and that are kept.
    """
    together = (means[:, None] == means[None]).all(-1)

    def one(mean: Array, factor: Array, z: Array, key: Array) -> tuple[Array, Array, Array, Array]:
        init_kernel, kernel = hmc(
            potential_fn_gen=lambda *a: partial(_potential, space, statistic, arrays, *a), algo="NUTS"
        )
        state = init_kernel(
            solve_lower(factor, (z - mean)[:, None])[:, 0],
            warmup,
            step_size=FIRST_STEP,
            inverse_mass_matrix=jnp.ones(space.size),
            adapt_mass_matrix=False,
            target_accept_prob=TARGET_ACCEPTANCE,
            max_tree_depth=DEEPEST_TREE,
            model_args=(data, mean, factor),
            rng_key=key,
        )

        def advance(state, _):
            state = kernel(state, model_args=(data, mean, factor))
            return state, (state.z, state.diverging, state.num_steps, -state.potential_energy)

        _, kept = jax.lax.scan(advance, state, None, length=warmup + draws)
        u, diverging, steps, density = (x[warmup:] for x in kept)
        return mean + u @ factor.T, diverging, steps, density

    def a_round(carry: tuple[Array, Array, Array], keys: Array):
        mean, factor, z = carry
        drawn = jax.vmap(one)(mean, factor, z, keys)
        mean, factor = jax.vmap(refined, (0, 0, None, 0))(mean, factor, drawn[0], together)
        return (mean, factor, drawn[0][:, -1]), drawn

    each = jax.vmap(partial(jax.random.split, num=rounds + 1))(keys)
    spread = jax.vmap(lambda key: jax.random.normal(key, (space.size,), jnp.float64))(each[:, 0])
    starts = means + SPREAD * jnp.einsum("cij,cj->ci", choleskys, spread)
    (mean, factor, _), drawn = jax.lax.scan(a_round, (means, choleskys, starts), each[:, 1:].swapaxes(0, 1))
    z, diverging, steps, density = (_joined(x[1:]) for x in drawn)
    return Chain(z, diverging, steps, density, mean, factor)


def refined(mean: Array, factor: Array, draws: Array, own: Array) -> tuple[Array, Array]:
    """Mean and lower factor of a Gaussian made better by draws of the posterior.

    The draws are compared with the Gaussian in its own coordinates, where their covariance is near the identity and can
    be shrunk towards it (Ledoit & Wolf 2004, J. Multivar. Anal. 88, 365): there are few draws a dimension.

    Parameters
    ----------
    mean, factor : (D,), (D, D)
    draws : (C, S, D)
    own : (C,) bool
        Which chains count.
    """
    size = mean.shape[-1]
    weight = jnp.repeat(own.astype(draws.dtype), draws.shape[1])
    count = weight.sum()
    u = (draws.reshape(-1, size) - mean) @ inverse_lower(factor).T
    centre = weight @ u / count
    u = (u - centre) * jnp.sqrt(weight)[:, None]
    covariance = u.T @ u / count
    level = jnp.trace(covariance) / size
    distance = jnp.sum((covariance - level * jnp.eye(size)) ** 2)
    # Sum over draws of |x x^T - S|^2 without the matrices themselves.
    noise = jnp.sum(jnp.sum(u**2, axis=1) ** 2) - count * jnp.sum(covariance**2)
    share = jnp.minimum(DRAWS_PER_INDEPENDENT * noise / count**2 / jnp.maximum(distance, 1e-30), 1.0)
    shrunk = share * level * jnp.eye(size) + (1.0 - share) * covariance
    return mean + factor @ centre, factor @ decompose(shrunk)


def _joined(x: Array) -> Array:
    """(rounds, C, S, ...) to (C, rounds x S, ...)."""
    moved = x.swapaxes(0, 1)
    return moved.reshape(moved.shape[0], -1, *moved.shape[3:])


@partial(jax.jit, static_argnums=(0, 1))
def _value_and_gradient(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    mean: Array,
    cholesky: Array,
    u: Array,
) -> tuple[Array, Array]:
    return jax.value_and_grad(lambda u: -log_density(space, statistic, arrays, data, mean + cholesky @ u))(u)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _potential(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    mean: Array,
    cholesky: Array,
    u: Array,
) -> Array:
    """Minus the log density at whitened coordinates u (D,); differentiable in u alone.

    The sampler asks for its gradient in several places: with a rule of its own it is traced once, not each time.
    """
    return _value_and_gradient(space, statistic, arrays, data, mean, cholesky, u)[0]


def _forward(space, statistic, arrays, data, mean, cholesky, u):
    return _value_and_gradient(space, statistic, arrays, data, mean, cholesky, u)


def _backward(space, statistic, gradient, cotangent):
    return None, None, None, None, cotangent * gradient


_potential.defvjp(_forward, _backward)
