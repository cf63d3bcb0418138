"""Evaluate tabulated log emissivities between nodes, with continuous first derivatives.

Bicubic convolution (Catmull-Rom; Keys 1981, IEEE Trans. ASSP 29, 1153) on uniform nodes: a 4 x 4 patch of the
table and four weights per axis. Written in jax.numpy: differentiable in temperature and density, usable under
vmap and jit, and from numpy (which then gets a jax array back).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def cubic_weights(nodes: ArrayLike, value: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Return where a patch of four nodes starts, and the weights of its nodes.

    Parameters
    ----------
    nodes : (N,) array
        Uniformly spaced, increasing, N >= 4.
    value : scalar
        Where to evaluate; outside the nodes the edge's value is taken.

    Returns
    -------
    start : int scalar
        Index of the patch's first node.
    weights : (4,) array
        They sum to one. In the outermost intervals the missing node is extrapolated with a parabola, so that
        the first derivative stays continuous there too.
    """
    nodes = jnp.asarray(nodes)
    count = nodes.shape[0]
    position = (value - nodes[0]) * ((count - 1) / (nodes[-1] - nodes[0]))
    position = jnp.clip(position, 0.0, count - 1.0)
    cell = jnp.clip(jnp.floor(jax.lax.stop_gradient(position)).astype(jnp.int32), 0, count - 2)
    s = position - cell
    before = 0.5 * s * (-1.0 + s * (2.0 - s))
    left = 1.0 + 0.5 * s * s * (3.0 * s - 5.0)
    right = 0.5 * s * (1.0 + s * (4.0 - 3.0 * s))
    after = 0.5 * s * s * (s - 1.0)
    zero = jnp.zeros_like(s)
    inner = jnp.stack([before, left, right, after])
    first = jnp.stack([left + 3.0 * before, right - 3.0 * before, after + before, zero])
    last = jnp.stack([zero, before + after, left - 3.0 * after, right + 3.0 * after])
    weights = jnp.where(cell == 0, first, jnp.where(cell == count - 2, last, inner))
    return jnp.clip(cell - 1, 0, count - 4), weights


def interpolate(
    log_table: ArrayLike,
    log_temperature_nodes: ArrayLike,
    log_density_nodes: ArrayLike,
    log_temperature: ArrayLike,
    log_density: ArrayLike,
) -> jax.Array:
    """Return ln emissivity at one temperature and density.

    Parameters
    ----------
    log_table : (L, T, N) array
        Natural logarithm at the nodes, as in `EmissivityTable.line_log_emissivity`.
    log_temperature_nodes : (T,) array
        log10 K, uniform.
    log_density_nodes : (N,) array
        log10 cm-3, uniform.
    log_temperature, log_density : scalar
        Where to evaluate (use `jax.vmap` for many); held at the edge outside the nodes.

    Returns
    -------
    (L,) array
        Continuous with its first derivatives in both arguments.
    """
    row, row_weights = cubic_weights(log_temperature_nodes, log_temperature)
    column, column_weights = cubic_weights(log_density_nodes, log_density)
    table = jnp.asarray(log_table)
    patch = jax.lax.dynamic_slice(table, (jnp.zeros_like(row), row, column), (table.shape[0], 4, 4))
    return jnp.einsum("ltn,t,n->l", patch, row_weights, column_weights)


def interpolate_temperature(
    table: ArrayLike, log_temperature_nodes: ArrayLike, log_temperature: ArrayLike
) -> jax.Array:
    """Return a table (..., T) at one temperature, with the same weights; for the continuum."""
    row, weights = cubic_weights(log_temperature_nodes, log_temperature)
    array = jnp.asarray(table)
    patch = jax.lax.dynamic_slice_in_dim(array, row, 4, axis=array.ndim - 1)
    return patch @ weights
