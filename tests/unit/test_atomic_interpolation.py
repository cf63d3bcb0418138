"""Interpolation between table nodes: exact at nodes, smooth between them, usable in numpy and JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coronium.physics.atomic.interpolation import interpolate, interpolate_temperature

LOG_T = np.arange(5.5, 7.6001, 0.05)
LOG_N = np.arange(7.0, 13.001, 0.5)


def _table(function):
    return jnp.asarray(function(LOG_T[:, None], LOG_N[None, :])[None].astype(np.float32))


def _smooth(log_t, log_n):
    return -50.0 - 20.0 * (log_t - 6.3) ** 2 - np.logaddexp(0.0, 2.3 * (log_n - 9.6))


@pytest.mark.parametrize("point", [(5.5, 7.0), (7.6, 13.0), (6.3, 10.0), (5.55, 12.5)])
def test_a_node_gives_back_its_own_value(point):
    value = interpolate(_table(_smooth), LOG_T, LOG_N, *point)
    assert float(value[0]) == pytest.approx(float(_smooth(*point)), abs=2e-5 * 90)


def test_a_smooth_function_is_met_between_the_nodes():
    rng = np.random.default_rng(1)
    log_t, log_n = rng.uniform(5.5, 7.6, 200), rng.uniform(7.0, 13.0, 200)
    table = _table(_smooth)
    values = jax.vmap(lambda t, n: interpolate(table, LOG_T, LOG_N, t, n)[0])(log_t, log_n)
    np.testing.assert_allclose(values, _smooth(log_t, log_n), atol=0.01)


def test_first_derivatives_do_not_jump_at_any_node():
    rng = np.random.default_rng(2)
    rough = jnp.asarray(rng.normal(size=(1, len(LOG_T), len(LOG_N))).astype(np.float32))
    slope = jax.jit(jax.grad(lambda t, n: interpolate(rough, LOG_T, LOG_N, t, n)[0], argnums=(0, 1)))
    step = 1e-4
    for t in LOG_T[1:-1]:
        below, above = slope(t - step, 9.77)[0], slope(t + step, 9.77)[0]
        assert abs(float(above - below)) < 0.02 * 2 / 0.05
    for n in LOG_N[1:-1]:
        below, above = slope(6.21, n - step)[1], slope(6.21, n + step)[1]
        assert abs(float(above - below)) < 0.02 * 2 / 0.5


def test_outside_the_table_the_edge_is_held():
    table = _table(_smooth)
    inside = interpolate(table, LOG_T, LOG_N, 7.6, 13.0)
    np.testing.assert_allclose(interpolate(table, LOG_T, LOG_N, 8.5, 14.0), inside, rtol=1e-6)


def test_the_continuum_interpolates_with_the_same_weights():
    table = jnp.asarray(np.stack([LOG_T**2, 3.0 - LOG_T]).astype(np.float32))
    np.testing.assert_allclose(interpolate_temperature(table, LOG_T, 6.333), [6.333**2, 3.0 - 6.333], rtol=1e-5)
