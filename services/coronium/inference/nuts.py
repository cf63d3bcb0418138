"""The No-U-Turn sampler (numpyro), in coordinates where the posterior is nearly a unit Gaussian.

Whitened by the Fisher metric of the mode, only the step size is left to adapt. Hoffman & Gelman 2014, JMLR 15, 1593.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer.hmc import hmc

from coronium.inference.likelihood import log_density
from coronium.physics.arrays import Array
from coronium.physics.observation_model import Data, ModelArrays
from coronium.physics.parameters import ParameterSpace
from coronium.physics.spectrum import Statistic

TARGET_ACCEPTANCE = 0.7
DEEPEST_TREE = 4
"""Lanes of a batch wait for the slowest: 15 leapfrogs are ample in whitened coordinates."""
FIRST_STEP = 0.6
SPREAD = 1.0
"""Chains start this many posterior standard deviations around their mode, so that R-hat can fail."""


class Chain(NamedTuple):
    """One chain of S kept draws.

    Attributes
    ----------
    z : (S, D) float64
    diverging : (S,) bool
    steps : (S,) int, leapfrog steps of each draw
    log_density : (S,)
    """

    z: Array
    diverging: Array
    steps: Array
    log_density: Array


def sample(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    mean: Array,
    cholesky: Array,
    key: Array,
    warmup: int,
    draws: int,
) -> Chain:
    """Run one chain; made to be batched with `vmap` over data, modes and keys.

    Parameters
    ----------
    mean, cholesky : (D,), (D, D)
        Mode and lower factor of its covariance: z = mean + cholesky u.
    key : PRNG key
    warmup, draws : int
        Static.
    """

    def potential_of(data: Data, mean: Array, cholesky: Array):
        def potential(u: Array) -> Array:
            return -log_density(space, statistic, arrays, data, mean + cholesky @ u)

        return potential

    init_kernel, sample_kernel = hmc(potential_fn_gen=potential_of, algo="NUTS")
    key, start_key = jax.random.split(key)
    state = init_kernel(
        SPREAD * jax.random.normal(start_key, (space.size,), jnp.float64),
        warmup,
        step_size=FIRST_STEP,
        inverse_mass_matrix=jnp.ones(space.size),
        adapt_mass_matrix=False,
        target_accept_prob=TARGET_ACCEPTANCE,
        max_tree_depth=DEEPEST_TREE,
        model_args=(data, mean, cholesky),
        rng_key=key,
    )

    def advance(state, _):
        state = sample_kernel(state, model_args=(data, mean, cholesky))
        return state, (state.z, state.diverging, state.num_steps, -state.potential_energy)

    def burn(_, state):
        return sample_kernel(state, model_args=(data, mean, cholesky))

    state = jax.lax.fori_loop(0, warmup, burn, state)
    _, (u, diverging, steps, density) = jax.lax.scan(advance, state, None, length=draws)
    return Chain(z=mean + u @ cholesky.T, diverging=diverging, steps=steps, log_density=density)
