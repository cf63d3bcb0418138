"""The shipped networks on spectra they have never seen, and on Capella."""

import numpy as np
import pytest

from coronium.evaluation.network_quality import measure
from coronium.network.files import known_instruments
from coronium.network.prediction import Predictor
from coronium.physics.instruments import get_instrument
from coronium.physics.readers.capella import read_capella, read_capella_cube

PRESETS = ["hinode-eis", "chandra-letg", "chandra-meg", "euve"]


def test_every_preset_ships_a_network_for_its_present_grid():
    assert sorted(PRESETS) == known_instruments()
    for name in PRESETS:
        predictor = Predictor(name)
        assert predictor.grid.channels == tuple(c.name for c in get_instrument(name).channels)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_network_knows_more_than_the_prior_and_finds_lines(name):
    quality = measure(name, 600)
    assert quality.gain_lower >= 1.0
    assert quality.ratio_lower >= 2.0
    assert quality.sure_share >= 0.9


def test_twenty_five_exposures_of_capella_say_more_than_the_first_alone():
    first, cube = Predictor("chandra-letg").predict([read_capella()[0], read_capella_cube()])
    assert 0.5 * np.abs(cube.probability - first.probability).sum() > 0.1
    assert np.abs(cube.line_probability - first.line_probability).max() > 0.1
