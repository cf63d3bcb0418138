"""Predictions: of the right shape, in the right order, and without jax."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from coronium.network.prediction import Predictor
from coronium.physics.readers.capella import read_capella, read_capella_cube
from tests.unit.network_folder import untrained_network


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    untrained_network(folder, "chandra-letg")
    return Predictor("chandra-letg", folder=folder)


def test_each_spectrum_gets_its_own_answer_whatever_stands_beside_it(predictor):
    spectra = [read_capella()[0], read_capella_cube(), read_capella()[7], read_capella()[3]]
    together = predictor.predict(spectra)
    for spectrum, prediction in zip(spectra, together, strict=True):
        (alone,) = predictor.predict([spectrum])
        assert np.allclose(alone.probability, prediction.probability, atol=1e-5)
        assert prediction.probability.sum() == pytest.approx(1.0)
        assert prediction.probability.shape == (6, 4)
        assert ((prediction.line_probability > 0) & (prediction.line_probability < 1)).all()


def test_no_spectra_give_no_predictions(predictor):
    assert predictor.predict([]) == []


def test_the_denoised_spectrum_lies_on_the_observations_own_bins(predictor):
    spectrum = read_capella()[0]
    step = float(np.median(np.diff(spectrum.channels[0].wavelength_edges)))
    moved = replace(
        spectrum,
        channels=tuple(replace(c, wavelength_edges=c.wavelength_edges + 0.3 * step) for c in spectrum.channels),
    )
    for one in (spectrum, moved):
        (prediction,) = predictor.predict([one])
        assert list(prediction.denoised) == ["letg-negative", "letg-positive"]
        for channel in one.channels:
            denoised = prediction.denoised[channel.name]
            assert denoised.shape == (channel.bins,)
            assert np.isfinite(denoised).all()
            assert (denoised >= 0).all()


def test_a_spectrum_without_a_usable_bin_is_not_seen(predictor):
    spectrum = read_capella()[0]
    dark = replace(spectrum, channels=tuple(replace(c, mask=np.zeros_like(c.mask)) for c in spectrum.channels))
    elsewhere = replace(
        spectrum,
        channels=tuple(replace(c, wavelength_edges=c.wavelength_edges + 100.0) for c in spectrum.channels),
    )
    assert predictor.sees(spectrum)
    assert not predictor.sees(dark)
    assert not predictor.sees(elsewhere)


def test_predicting_loads_neither_jax_nor_the_emissivity_table():
    code = "import sys, coronium.network.prediction; print([m for m in ('jax', 'scipy', 'h5py') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
