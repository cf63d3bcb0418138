"""The No-U-Turn sampler (numpyro), in coordinates where the posterior is nearly a unit Gaussian.

Hoffman & Gelman 2014, JMLR 15, 1593. The coordinates are those of a Gaussian approximation (`metric`); in a round the
step size adapts, then stays.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer.hmc import hmc

from coronium.inference.likelihood import log_density
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ModelArrays
from coronium.physics.parameters import ParameterSpace
from coronium.physics.spectrum import Statistic

TARGET_ACCEPTANCE = 0.8
LONGEST_WARMUP = 19
"""NumPyro cuts a longer warm-up into windows and lets the step size begin anew at the end of each."""
PULL = 10.0
"""NumPyro's dual averaging draws the step size towards so many times the first one."""


class Chain(NamedTuple):
    """One round of a chain, or several joined.

    Attributes
    ----------
    z : (S, D) float64
    diverging : (S,) bool
    steps : (S,) int, leapfrog steps of each draw
    """

    z: Array
    diverging: Array
    steps: Array


class Round(NamedTuple):
    """A round of chains, and the step size (scalar) that its warm-up found."""

    chain: Chain
    step_size: Array


def sample(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    mean: Array,
    factor: Array,
    start: Array,
    step_size: Array,
    key: Array,
    warmup: int,
    draws: int,
    deepest_tree: int,
) -> Round:
    """Run one round of one chain; made to be batched with `vmap` over data, metrics, starts and keys.

    Parameters
    ----------
    mean, factor : (D,), (D, D)
        z = mean + factor u, where u is nearly a standard normal.
    start : (D,)
        The first u.
    step_size : scalar
        That the warm-up is drawn to.
    key : PRNG key
    warmup, draws : int
        Static. Steps that adapt the step size, and steps that are kept.
    deepest_tree : int
        Static. A step takes at most 2^deepest_tree - 1 leapfrogs.
    """
    init_kernel, kernel = hmc(
        potential_fn_gen=lambda *a: partial(_potential, space, statistic, arrays, *a), algo="NUTS"
    )
    state = init_kernel(
        start,
        warmup,
        step_size=step_size / PULL,
        inverse_mass_matrix=jnp.ones(space.size),
        adapt_mass_matrix=False,
        target_accept_prob=TARGET_ACCEPTANCE,
        max_tree_depth=deepest_tree,
        model_args=(data, mean, factor),
        rng_key=key,
    )

    def advance(state, _):
        state = kernel(state, model_args=(data, mean, factor))
        return state, (state.z, state.diverging, state.num_steps)

    # One loop for warm-up and draws: the step size stops adapting by itself, and the kernel is compiled once.
    last, kept = jax.lax.scan(advance, state, None, length=warmup + draws)
    u, diverging, steps = (x[warmup:] for x in kept)
    chain = Chain(z=mean + u @ factor.T, diverging=diverging, steps=steps)
    return Round(chain, last.adapt_state.step_size)


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
