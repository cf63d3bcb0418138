"""What the presets promise: grids that increase, areas above zero, modes of one length, cited numbers."""

import numpy as np
import pytest

from coronium.physics.instruments import (
    UnknownInstrumentError,
    get_instrument,
    instrument_names,
)
from coronium.physics.instruments.calibration import smooth_modes
from coronium.physics.instruments.eis_calibration import effective_area, preflight_area
from tests._shared import shared_path


@pytest.mark.parametrize("name", instrument_names())
def test_every_preset_has_a_rising_grid_a_positive_area_and_modes_of_one_length(name):
    instrument = get_instrument(name)
    assert instrument.citation
    for channel in instrument.channels:
        assert np.all(np.diff(channel.wavelength_edges) > 0)
        assert channel.effective_area.shape == (channel.bins,)
        assert np.all(channel.effective_area > 0)
        assert channel.calibration_modes.shape == (instrument.calibration_mode_count, channel.bins)
        assert channel.mask.mean() > 0.7
        # At least two bins to a resolution element, or lines would fall between them.
        assert np.diff(channel.wavelength_edges).max() < 0.51 * channel.fwhm
        assert channel.bins <= 2000


def test_an_unknown_instrument_is_named_beside_the_known_ones():
    with pytest.raises(UnknownInstrumentError, match=r"'hinode-eiss'.*hinode-eis, chandra-letg, chandra-meg, euve"):
        get_instrument("hinode-eiss")


def test_an_unknown_channel_is_named_beside_the_known_ones():
    with pytest.raises(KeyError, match=r"no channel 'heg'; it has meg"):
        get_instrument("chandra-meg").channel("heg")


def test_the_eis_windows_are_those_of_the_sample_raster():
    h5py = pytest.importorskip("h5py")
    with h5py.File(shared_path("data", "eis_ar12807", "eis_20210306_064444.head.h5")) as head:
        for index, channel in enumerate(get_instrument("hinode-eis").channels):
            wavelength = head[f"wavelength/win0{index}"][:]
            np.testing.assert_allclose(channel.wavelength, wavelength, atol=1e-5)


def test_eis_lost_more_of_its_long_wave_area_than_of_its_short_wave_area():
    lost = {w: effective_area(np.array([w]), 2021.18)[0] / preflight_area(np.array([w]))[0] for w in (192.4, 263.3)}
    assert 0.5 < lost[192.4] < 0.75
    assert 0.3 < lost[263.3] < 0.45


def test_the_eis_calibration_prior_moves_the_short_against_the_long_waves():
    eis = get_instrument("hinode-eis")
    modes = np.array([c.calibration_modes.mean(axis=1) for c in eis.channels])
    spread = np.sqrt(np.sum((modes[8] - modes[4]) ** 2))
    assert 0.2 < spread < 0.5, "ln(area) of Fe XIV 270 against Ca XV 201"


def test_letg_orders_share_their_calibration_but_for_three_percent():
    negative, positive = get_instrument("chandra-letg").channels
    common = 0.5 * (negative.calibration_modes + positive.calibration_modes)
    apart = 0.5 * (negative.calibration_modes - positive.calibration_modes)
    np.testing.assert_allclose(np.sqrt((common**2).sum(axis=0)), 0.10, atol=0.01)
    np.testing.assert_allclose(np.sqrt((apart**2).sum(axis=0)), 0.03, atol=0.003)


def test_third_order_silicon_and_sulphur_are_masked_with_their_reasons():
    channel = get_instrument("chandra-letg").channels[0]
    for wavelength, line in ((3 * 6.648, "Si XIII 6.648"), (3 * 5.039, "S XV 5.039")):
        assert not channel.mask[np.searchsorted(channel.wavelength_edges, wavelength) - 1]
        assert any(span.low < wavelength < span.high and line in span.reason for span in channel.masked)
    for line in (15.014, 18.967, 21.602, 21.804, 22.098):
        assert channel.mask[np.searchsorted(channel.wavelength_edges, line) - 1]


def test_smooth_modes_add_up_to_the_stated_uncertainty_at_every_wavelength():
    modes = smooth_modes(np.linspace(10.0, 20.0, 301), 0.2, 0.3)
    np.testing.assert_allclose(np.sqrt((modes**2).sum(axis=0)), 0.2, rtol=0.05)


def test_an_exposure_turns_area_into_counts_per_flux():
    eis = get_instrument("hinode-eis")
    channel = eis.channel("fe-12-192")
    expected = channel.effective_area * 10.0 * 36 * 2 * (np.pi / 648000) ** 2
    np.testing.assert_allclose(eis.area_exposure(channel), expected)
    assert eis.read_variance(channel) == pytest.approx(36 * channel.read_noise**2)
