"""The EIS raster inside eispac: counts, areas that agree with eispac's own fit, aligned macropixels."""

import sys

import h5py
import numpy as np
import pytest

from coronium.physics.instruments import get_instrument
from coronium.physics.instruments.eis_calibration import effective_area, preflight_area
from coronium.physics.readers.eis import read_raster
from coronium.physics.readers.errors import SpectrumFormatError
from coronium.physics.readers.fe12 import fe12_ratio_density, fit_line
from coronium.physics.readers.tabular import read_spectra
from coronium.physics.spectrum import Channel, Spectrum
from tests._shared import shared_path


@pytest.fixture(scope="module")
def raster() -> list[Spectrum]:
    pytest.importorskip("eispac")
    return read_raster()


def window(spectrum: Spectrum, name: str) -> Channel:
    return {channel.name: channel for channel in spectrum.channels}[name]


def test_the_sample_raster_gives_72_macropixels_of_nine_windows(raster):
    assert len(raster) == 72
    assert len({spectrum.target for spectrum in raster}) == 72
    assert raster[0].target == "sun/ar12807/x000y000"
    names = [channel.name for channel in get_instrument("hinode-eis").channels]
    for spectrum in raster:
        assert [channel.name for channel in spectrum.channels] == names
        for channel, response in zip(spectrum.channels, get_instrument("hinode-eis").channels, strict=True):
            assert channel.counts.shape == channel.mask.shape == (1, response.bins)
            assert np.all(channel.area_exposure > 0)
            assert np.all(np.isfinite(channel.counts))
            assert np.abs(channel.wavelength - response.wavelength).max() < 0.013


def test_short_waves_cover_every_macropixel_and_long_waves_are_masked_where_they_do_not_reach(raster):
    for spectrum in raster:
        short = [channel.mask.mean() for channel in spectrum.channels[:5]]
        assert min(short) > 0.7
    long_waves = np.array([window(spectrum, "fe-14-271").mask.mean() for spectrum in raster]).reshape(9, 8)
    assert np.all(long_waves[:2] == 0)
    assert np.all(long_waves[2:] > 0.7)


def test_the_area_is_that_of_the_instrument_times_exposure_and_pixels(raster):
    eis = get_instrument("hinode-eis")
    for channel in raster[36].channels:
        response = eis.channel(channel.name)
        full = channel.area_exposure[0] / eis.area_exposure(response)
        # Bins with missing pixels carry less; the header's laboratory curve is finer than the 1 A table.
        assert full.max() == pytest.approx(1.0, abs=0.02)
        assert full.min() > 0.45


def test_line_radiances_agree_with_eispacs_own_fit(raster):
    h5py = pytest.importorskip("h5py")
    file = shared_path("data", "eis_ar12807", "eis_20210306_064444.fe_12_192_394.1c-0.fit.h5")
    with h5py.File(file) as fit:
        # The map begins 16 rows below He II's, which is row 0 of the Fe XII window.
        reference = fit["fit/int"][:108, :24, 0]
    reference = np.nanmean(np.where(reference > 0, reference, np.nan).reshape(9, 12, 8, 3), axis=(1, 3)).ravel()
    at_line = np.array([192.394])
    in_flight = (effective_area(at_line, 2021.18) / preflight_area(at_line))[0]
    ours = np.array([fit_line(window(s, "fe-12-192"), 192.394).radiance for s in raster]) * in_flight
    ratio = ours / reference
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert np.percentile(np.abs(ratio - 1), 95) < 0.1


def test_fe12_lines_lie_where_the_laboratory_puts_them(raster):
    for name, line, neighbours in (("fe-12-192", 192.394, ()), ("fe-12-187", 186.88, (186.60,))):
        centres = [fit_line(window(spectrum, name), line, neighbours).centre for spectrum in raster]
        assert np.median(centres) == pytest.approx(line, abs=0.015)


def test_the_fe12_ratio_is_measured_everywhere_to_a_few_percent(raster):
    ratios = np.array([fe12_ratio_density(spectrum) for spectrum in raster])
    assert np.all(np.isfinite(ratios))
    assert 1.0 < np.median(ratios[:, 0]) < 1.6
    assert np.median(ratios[:, 1] / ratios[:, 0]) < 0.05


def test_larger_macropixels_add_up_the_same_counts(raster):
    def total(spectra: list[Spectrum]) -> float:
        return sum(float(window(spectrum, "fe-12-192").counts.sum()) for spectrum in spectra)

    coarse = read_raster(macropixel=(108, 24))
    assert len(coarse) == 1
    # A bin left out of a small macropixel for its missing pixels still counts in the large one.
    assert total(raster) == pytest.approx(total(coarse), rel=0.005)


def test_a_missing_eispac_is_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "eispac", None)
    with pytest.raises(ImportError, match=r"pip install 'coronium\[solar\]'"):
        read_raster()


def test_a_file_that_is_no_raster_is_one_sentence(tmp_path):
    pytest.importorskip("eispac")
    with pytest.raises(SpectrumFormatError, match=r"nowhere\.data\.h5: no such file"):
        read_raster("nowhere.data.h5")
    for name in ("eis_x.data.h5", "eis_x.head.h5"):
        (tmp_path / name).write_text("not HDF5")
    with pytest.raises(SpectrumFormatError, match="not an HDF5 file"):
        read_raster(tmp_path / "eis_x.data.h5")
    for name in ("eis_x.data.h5", "eis_x.head.h5"):
        h5py.File(tmp_path / name, "w").close()
    with pytest.raises(SpectrumFormatError, match="not a complete pair"):
        read_raster(tmp_path / "eis_x.data.h5")


def test_the_same_raster_by_its_path_has_the_same_targets(raster):
    file = shared_path("data", "eis_ar12807", "eis_20210306_064444.data.h5")
    by_path = read_spectra(file)
    assert [spectrum.target for spectrum in by_path] == [spectrum.target for spectrum in raster]
    np.testing.assert_array_equal(by_path[50].channels[2].counts, raster[50].channels[2].counts)
