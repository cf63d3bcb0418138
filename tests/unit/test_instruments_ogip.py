"""An instrument from OGIP files has their area, their width and their published uncertainty."""

import sys

import numpy as np
import pytest
from astropy.io import fits

from coronium.physics.instruments import get_instrument, register_instrument
from coronium.physics.instruments.ogip import ResponseFormatError, instrument_from_ogip, read_arf
from tests._shared import shared_path

FWHM = 0.06
EFFICIENCY = 0.8


@pytest.fixture
def responses(tmp_path):
    """An ARF of area 10 x wavelength and an RMF of Gaussian lines, on 0.02 A channels over 10-14 A."""
    edges = np.linspace(10.0, 14.0, 201)
    energy = 12.398419843320026 / edges[::-1]
    low, high = energy[:-1], energy[1:]
    centre = 0.5 * (edges[1:] + edges[:-1])[::-1]
    arf = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "D", array=low, unit="keV"),
            fits.Column("ENERG_HI", "D", array=high, unit="keV"),
            fits.Column("SPECRESP", "D", array=10 * centre, unit="cm**2"),
        ],
        name="SPECRESP",
    )
    fits.HDUList([fits.PrimaryHDU(), arf]).writeto(tmp_path / "test.arf")
    first, rows = [], []
    for wavelength in centre:
        profile = np.exp(-4 * np.log(2) * ((centre - wavelength) / FWHM) ** 2)
        reached = np.flatnonzero(profile > 1e-4)
        first.append(reached[0])
        rows.append(EFFICIENCY * profile[reached] / profile[reached].sum())
    matrix = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "D", array=low, unit="keV"),
            fits.Column("ENERG_HI", "D", array=high, unit="keV"),
            fits.Column("N_GRP", "I", array=np.ones(len(rows))),
            fits.Column("F_CHAN", "PI()", array=np.array([np.array([f + 1]) for f in first], dtype=object)),
            fits.Column("N_CHAN", "PI()", array=np.array([np.array([len(r)]) for r in rows], dtype=object)),
            fits.Column("MATRIX", "PD()", array=np.array(rows, dtype=object)),
        ],
        name="MATRIX",
    )
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "J", array=np.arange(len(rows)) + 1),
            fits.Column("E_MIN", "D", array=low, unit="keV"),
            fits.Column("E_MAX", "D", array=high, unit="keV"),
        ],
        name="EBOUNDS",
    )
    fits.HDUList([fits.PrimaryHDU(), matrix, bounds]).writeto(tmp_path / "test.rmf")
    return tmp_path / "test.arf", tmp_path / "test.rmf"


def test_area_width_and_efficiency_come_from_the_files(responses):
    pytest.importorskip("pyspextools")
    instrument = instrument_from_ogip(*responses, name="my-spectrometer", wavelength_range=(11.0, 13.0))
    (channel,) = instrument.channels
    assert channel.wavelength_edges[0] == pytest.approx(11.0, abs=1e-6)
    np.testing.assert_allclose(channel.effective_area, EFFICIENCY * 10 * channel.wavelength, rtol=0.01)
    assert channel.fwhm == pytest.approx(FWHM, rel=0.03)
    np.testing.assert_allclose(np.sqrt((channel.calibration_modes**2).sum(axis=0)), 0.10, rtol=0.06)


def test_a_registered_instrument_is_known_by_its_name(responses):
    instrument = instrument_from_ogip(responses[0], name="my-arf", fwhm=0.05)
    register_instrument(instrument)
    assert get_instrument("my-arf") is instrument
    with pytest.raises(ValueError, match="is the name of a preset"):
        register_instrument(instrument_from_ogip(responses[0], name="euve", fwhm=0.05))


def test_an_arf_alone_wants_the_width(responses):
    with pytest.raises(ResponseFormatError, match="without an RMF the width"):
        instrument_from_ogip(responses[0])


def test_a_missing_reader_of_matrices_is_one_sentence(responses, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspextools.io.rmf", None)
    with pytest.raises(ImportError, match=r"pip install 'coronium\[ogip\]'"):
        instrument_from_ogip(*responses)


def test_a_file_that_is_no_response_is_one_sentence(responses, tmp_path):
    (tmp_path / "text.arf").write_text("hello")
    for path, message in ((responses[1], "no SPECRESP"), (tmp_path / "text.arf", "not a FITS"), ("no.arf", "no such")):
        with pytest.raises(ResponseFormatError, match=message):
            read_arf(path)


def test_published_principal_components_become_calibration_modes():
    file = shared_path("data", "chandra_arf_pca", "aref_Cedge.fits")
    instrument = instrument_from_ogip(file, name="acis", fwhm=1.0, wavelength_range=(2.0, 25.0))
    (channel,) = instrument.channels
    spread = np.sqrt((channel.calibration_modes**2).sum(axis=0))
    # 3-5 % over the ACIS band, as all 18 components together give.
    table, components = fits.getdata(file, "SPECRESP"), fits.getdata(file, "PCACOMP")
    whole = np.sqrt(((components["EIGENVAL"][:, None] * components["EIGENVEC"]) ** 2).sum(axis=0))
    energy = 0.5 * (table["ENERG_LO"] + table["ENERG_HI"])
    expected = np.interp(12.398 / channel.wavelength, energy, whole / table["SPECRESP"])
    # At the carbon edge a weaker component carries more; elsewhere the leading ones suffice.
    assert np.abs(spread - expected).max() < 0.012
    assert np.percentile(np.abs(spread - expected), 98) < 0.006
    assert instrument.calibration_mode_count < 12


def test_a_chandra_grating_arf_agrees_with_the_preset_made_of_it():
    areas = [read_arf(shared_path("data", "effective_areas", f"aciss_meg{order}1_cy07.garf")) for order in ("", "-")]
    meg = get_instrument("chandra-meg").channels[0]
    total = sum(np.interp(meg.wavelength, area.wavelength, area.area) for area in areas)
    np.testing.assert_allclose(meg.effective_area, total, rtol=1e-3, atol=1e-3)
