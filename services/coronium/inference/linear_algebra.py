"""Cholesky decomposition in plain JAX, for batches of small matrices.

JAX hands decompositions to LAPACK as foreign calls, which cannot be batched and which were seen to hang inside
batched loops when several threads ran them (jaxlib 0.10.2, two cores). Ours is a loop over columns, vectorised
over everything else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def cholesky(matrix: Array) -> Array:
    """Lower factor L of a positive definite matrix (D, D): matrix = L L^T; NaN where it is not positive definite."""
    size = matrix.shape[-1]
    index = jnp.arange(size)

    def column(j: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        left, factor = carry
        pivot = jnp.sqrt(left[j, j])
        values = jnp.where(index >= j, left[:, j] / pivot, 0.0)
        return left - jnp.outer(values, values), factor.at[:, j].set(values)

    return jax.lax.fori_loop(0, size, column, (matrix, jnp.zeros_like(matrix)))[1]


def solve_lower(lower: Array, right: Array) -> Array:
    """Solve L X = R for a lower triangular L (D, D) and R (D, M)."""

    def row(i: int, solution: Array) -> Array:
        value = (right[i] - lower[i] @ solution) / lower[i, i]
        return solution.at[i].set(value)

    return jax.lax.fori_loop(0, lower.shape[-1], row, jnp.zeros_like(right))


def inverse_lower(lower: Array) -> Array:
    """Inverse of a lower triangular matrix (D, D)."""
    return solve_lower(lower, jnp.eye(lower.shape[-1], dtype=lower.dtype))
