"""Lines are found where they are, and not where they are not, whatever the draw's shift and width."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coronium.inference  # noqa: F401 - sums are in float64
from coronium.inference.lines import identified_lines
from coronium.inference.predictive import Predictions, predictions
from coronium.inference.programs import SamplerSettings, Static, expectations
from coronium.physics.atomic.table import load_table
from coronium.physics.forward import Response, spread
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.line_groups import LineGroups, line_groups, line_share
from coronium.physics.observation_model import Data, ModelCache, ObservationModel
from coronium.physics.simulator import Simulator

DRAWS = 4


@lru_cache
def observed(name: str, seed: int = 1) -> tuple[ObservationModel, LineGroups, Data, Predictions]:
    """A bright spectrum and predictions that are right about it, its lines shifted by a width and blurred."""
    simulator = Simulator(ModelCache(load_table()), get_instrument(name))
    model = simulator.model
    z = np.zeros(model.space.size, np.float32)
    z[model.space.position("log_temperature")] = 0.3
    z[model.space.position("log_amplitude")] = 1.0 if name == "hinode-eis" else 0.5
    z[model.space.position("model_error")] = -2.0
    for place, unknown in enumerate(model.space.names):
        if unknown.startswith("shift_"):
            z[place] = 1.5
    z[model.space.position("width")] = 1.0
    static = Static(model.space, model.statistic, SamplerSettings())
    data = jax.tree.map(lambda a: np.asarray(a)[None], simulator.data)
    points = np.broadcast_to(z, (1, DRAWS, len(z))).astype(float)
    found = jax.jit(expectations, static_argnums=0)(static, model.arrays, data, points)
    expected = type(found)(*(np.asarray(a)[0] for a in found))
    rng = np.random.default_rng(seed)
    counts = rng.poisson((expected.source + expected.background)[0]).astype(np.float32)
    counts += rng.standard_normal(counts.shape) * np.sqrt(np.asarray(simulator.data.read_variance))
    own = simulator.data._replace(counts=counts.astype(np.float32))
    return model, line_groups(model), own, predictions(model.statistic, own, expected, 1)


@pytest.mark.parametrize("name", ["hinode-eis", "chandra-letg"])
def test_a_share_is_what_the_forward_model_lays(name):
    model = observed(name)[0]
    line = int(np.argmax(model.catalogue.share))
    photons = np.zeros(len(model.catalogue.share), np.float32)
    photons[line] = 1.0
    fwhm = np.array([1.1 * c.fwhm for c in model.instrument.channels])
    shift = np.array([0.4 * c.fwhm for c in model.instrument.channels])
    response = Response(jnp.asarray(fwhm, jnp.float32), jnp.asarray(shift, jnp.float32), jnp.zeros(0))
    laid = model.layout.from_blocks(np.asarray(spread(model.layout, model.arrays.bank, jnp.asarray(photons), response)))
    for c, edges in enumerate(model.edges):
        share = line_share(edges, model.catalogue.wavelength[line] + shift[c], fwhm[c], model.layout.profile)
        np.testing.assert_allclose(laid[c], share, atol=0.01)


@pytest.mark.parametrize("name", ["hinode-eis", "chandra-letg"])
def test_lines_that_are_there_are_found(name):
    model, groups, data, predicted = observed(name)
    lines = identified_lines(model, groups, data, predicted)
    bright = [line for line in lines if line.signal_to_noise > 8]
    assert len(bright) >= 5
    assert all(line.identified for line in bright)
    # Of those that cannot be seen the data say nothing: even odds.
    faint = [line.probability for line in lines if line.signal_to_noise < 0.05]
    np.testing.assert_allclose(faint, 0.5, atol=0.1)


@pytest.mark.parametrize("name", ["hinode-eis", "chandra-letg"])
def test_a_line_that_is_predicted_but_not_there_is_not_identified(name):
    model, groups, data, predicted = observed(name)
    lines = identified_lines(model, groups, data, predicted)
    alone = [g for g, line in enumerate(lines) if line.identified and line.signal_to_noise > 5]
    layout, expected = model.layout, predicted.expected
    gone = 0
    for g in alone[:12]:
        counts = layout.from_blocks(np.asarray(data.counts)[0])
        flux = float(predicted.photons[0] @ groups.membership[g])
        for c, edges in enumerate(model.edges):
            place = lines[g].wavelength + expected.shift[0, c]
            share = line_share(edges, place, expected.fwhm[0, c], layout.profile)
            counts[c] -= flux * share * layout.from_blocks(expected.sensitivity[0])[c]
        rest = layout.to_blocks([np.maximum(np.round(c), 0)[None].astype(np.float32) for c in counts])
        without = identified_lines(model, groups, data._replace(counts=rest), predicted)[g]
        gone += without.probability < 0.1
    assert gone >= 0.8 * len(alone[:12])


def test_a_line_that_shines_in_no_draw_has_even_odds_and_costs_no_warning():
    model, groups, data, seen = observed("hinode-eis")
    dark = seen._replace(photons=seen.photons * (1.0 - groups.membership[0]).astype(np.float32))
    with np.errstate(all="raise"):
        lines = identified_lines(model, groups, data, dark)
    assert lines[0].probability == pytest.approx(0.5)
    assert not lines[0].identified
    assert np.isfinite([line.probability for line in lines]).all()
