"""Training: what the network learns from is what it will be shown, and the same seed gives the same network."""

from dataclasses import replace

import numpy as np
import pytest

from coronium.network.cube import to_cube
from coronium.network.dataset import realise, simulate
from coronium.network.files import read_network, training_record
from coronium.network.prediction import Predictor
from coronium.network.training import train
from coronium.physics.instruments import get_instrument
from coronium.physics.simulator import empty_spectrum

pytestmark = pytest.mark.slow
EIS = get_instrument("hinode-eis")
COUNT, SEED = 64, 3


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(cache):
    return simulate(EIS, COUNT, SEED, cache=cache)


def test_an_interrupted_training_finds_its_spectra_again(data, cache):
    (part,), (again,) = data.parts, simulate(EIS, COUNT, SEED, cache=cache).parts
    assert len(part) == COUNT
    for name, values in vars(part).items():
        assert np.array_equal(values, getattr(again, name))


def test_a_training_cube_is_what_the_observation_of_the_same_source_becomes(data):
    (part,) = data.parts
    noisy = realise(data, part, np.random.default_rng(0))
    for index in (0, 20, 40):
        exposures = part.source.shape[1]
        pixels = round(float(part.read_scale[index]) * EIS.pixels_summed)
        seconds = float(part.depth[index] / part.read_scale[index]) * EIS.exposure_seconds
        template = empty_spectrum(replace(EIS, pixels_summed=pixels), exposures, seconds)
        channels = tuple(
            replace(channel, counts=noisy.counts[index, :, row, : channel.bins])
            for row, channel in enumerate(template.channels)
        )
        cube = to_cube(data.grid, replace(template, channels=channels))
        for name in ("counts", "background", "area", "read_variance", "mask"):
            assert np.allclose(getattr(cube, name), getattr(noisy, name)[index], rtol=1e-4, atol=1e-4), name


def test_lines_are_present_where_their_expected_signal_to_noise_says_so(data):
    (part,) = data.parts
    whole = realise(data, part, np.random.default_rng(0))
    fewer = realise(data, part, np.random.default_rng(0), drop_channels=True)
    assert np.array_equal(whole.lines, part.line_signal_to_noise >= 3.0)
    assert fewer.lines.sum() < whole.lines.sum()
    assert not (fewer.lines & ~whole.lines).any()


def test_the_same_seed_gives_the_same_network_and_a_record_of_how(cache, tmp_path):
    for folder in ("a", "b"):
        train("hinode-eis", tmp_path / folder, COUNT, epochs=2, seed=SEED, cache=cache, quiet=True)
    assert read_network("hinode-eis", tmp_path / "a") == read_network("hinode-eis", tmp_path / "b")
    record = training_record("hinode-eis", tmp_path / "a")
    assert record["settings"]["seed"] == SEED
    assert record["spectra"] == {"fitted": 48, "validation": 4, "held_out": 12}
    assert len(record["history"]) == 2
    assert Predictor("hinode-eis", folder=tmp_path / "a").meaning.instrument == "hinode-eis"
