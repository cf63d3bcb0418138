"""Exposures of a cube: their emission measures scatter by an unknown amount, in unknowns of their own scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import coronium.inference  # noqa: F401 - sums are in float64
from coronium.inference.likelihood import curvature, log_likelihood
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.observation_model import ModelCache, pack
from coronium.physics.parameters import exposure_information, exposure_log_prior, from_standard_normals
from coronium.physics.simulator import Simulator

EXPOSURES = 3


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(ModelCache(load_table()), get_instrument("hinode-eis"), exposures=EXPOSURES)


def test_the_prior_of_the_exposures_is_that_of_what_is_drawn(simulator):
    space = simulator.model.space
    normal = np.random.default_rng(1).standard_normal((5, space.size)).astype(np.float32)
    drawn = np.asarray(from_standard_normals(space, jnp.asarray(normal)))
    first, last = space.bounds("exposure")
    scatter = np.exp(space.priors.exposure_scale[1] * normal[:, space.position("exposure_scatter")])
    np.testing.assert_allclose(drawn[:, first:last], normal[:, first:last] * scatter[:, None], rtol=1e-6)
    untouched = np.delete(drawn, np.s_[first:last], axis=1)
    np.testing.assert_array_equal(untouched, np.delete(normal, np.s_[first:last], axis=1))
    for point, sd in zip(drawn, scatter, strict=True):
        wanted = (norm(scale=sd).logpdf(point[first:last]) - norm.logpdf(point[first:last])).sum()
        assert float(exposure_log_prior(space, jnp.asarray(point))) == pytest.approx(wanted, abs=1e-4)


def test_its_information_is_what_draws_expect(simulator):
    space = simulator.model.space
    normal = np.random.default_rng(2).standard_normal((20_000, space.size)).astype(np.float32)
    at = space.position("exposure_scatter")
    normal[:, at] = 0.7
    drawn = from_standard_normals(space, jnp.asarray(normal))
    hessian = jax.jit(jax.vmap(lambda z: -jax.hessian(lambda p: exposure_log_prior(space, p))(z)))
    found = np.mean([np.asarray(hessian(part)).mean(0) for part in np.array_split(np.asarray(drawn), 20)], axis=0)
    wanted = np.diag(np.asarray(exposure_information(space, drawn[0])))
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_the_climbs_gradient_is_the_likelihoods(simulator):
    [(spectrum, _)] = simulator.draw(1, np.random.default_rng(3), (5.0, 6.0))
    model = simulator.model
    data = jax.tree.map(jnp.asarray, pack(model, spectrum))
    z = jnp.asarray(0.5 * np.random.default_rng(4).standard_normal(model.space.size), jnp.float32)
    static = model.space, model.statistic, model.arrays, data
    value, gradient, information = jax.jit(lambda p: curvature(*static, p))(z)
    wanted, slope = jax.jit(jax.value_and_grad(lambda p: log_likelihood(*static, p)))(z)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    scale = np.sqrt(np.diag(np.asarray(information)) + 1.0)
    np.testing.assert_allclose(np.asarray(gradient) / scale, np.asarray(slope) / scale, atol=2e-2)
    assert np.linalg.eigvalsh(np.asarray(information, float) + np.eye(model.space.size)).min() > 0
