"""Climbs end where the posterior is highest, and a faint cube's does not end where all exposures are alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coronium.inference  # noqa: F401 - sums are in float64
from coronium.inference.likelihood import log_density
from coronium.inference.modes import climb, matched
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.observation_model import ModelCache, pack
from coronium.physics.simulator import Simulator

EXPOSURES = 6


@pytest.fixture(scope="module", params=[(2.0, 3.0), (8.0, 10.0)], ids=["faint", "bright"])
def climbed(request):
    """Modes of a cube of EIS from the truth's temperature and two beside it, and what is needed to judge them."""
    simulator = Simulator(ModelCache(load_table()), get_instrument("hinode-eis"), exposures=EXPOSURES)
    [(spectrum, truth)] = simulator.draw(1, np.random.default_rng(7), request.param)
    model = simulator.model
    data = jax.tree.map(jnp.asarray, pack(model, spectrum))
    static = model.space, model.statistic, model.arrays, data

    def one(log_t, log_n):
        z, _, _ = matched(model.space, model.arrays, data, log_t, log_n)
        return climb(*static, z)

    temperatures = jnp.asarray(truth.log_temperature + np.array([-0.04, 0.0, 0.04]), jnp.float32)
    found = jax.jit(jax.vmap(one))(temperatures, jnp.full(3, truth.log_density, jnp.float32))
    gradients = jax.jit(jax.vmap(jax.grad(lambda z: log_density(*static, z))))(found.z)
    return model.space, truth, jax.tree.map(np.asarray, found), np.asarray(gradients)


def test_a_climb_ends_where_no_free_unknown_gains(climbed):
    space, _, found, gradients = climbed
    best = int(np.argmax(found.log_evidence))
    promised = found.cholesky[best].T @ np.where(space.held, 0.0, gradients[best])
    assert 0.5 * (promised**2).sum() < 0.1


def test_neighbouring_starts_end_on_one_mode(climbed):
    _, _, found, _ = climbed
    best = int(np.argmax(found.log_evidence))
    apart = [np.linalg.norm(np.linalg.solve(found.cholesky[best], z - found.z[best])) for z in found.z]
    assert sorted(apart)[1] < 0.5


def test_exposures_keep_their_differences(climbed):
    space, truth, found, _ = climbed
    best = found.z[int(np.argmax(found.log_evidence))]
    assert best[space.position("exposure_scatter")] == 0.0
    own = slice(*space.bounds("exposure"))
    assert np.std(best[own]) > 0.3 * np.std(truth.unknowns[own])
