"""A user's file becomes the spectrum it says it is, or one sentence that says why not."""

import dataclasses

import numpy as np
import pytest
from astropy.io import fits

from coronium.physics.instruments import get_instrument
from coronium.physics.readers.capella import read_capella, read_capella_cube
from coronium.physics.readers.tabular import SpectrumFormatError, read_spectra, read_truths, write_spectra
from coronium.physics.spectrum import Spectrum, Statistic


def same(first: Spectrum, second: Spectrum) -> bool:
    """Equal in every field, arrays and their types included."""
    plain = ("target", "instrument", "source", "distance_pc", "name", "annotations")
    if any(getattr(first, name) != getattr(second, name) for name in plain):
        return False
    np.testing.assert_array_equal(first.exposure_start, second.exposure_start)
    np.testing.assert_array_equal(first.exposure_seconds, second.exposure_seconds)
    for a, b in zip(first.channels, second.channels, strict=True):
        for item in dataclasses.fields(a):
            x, y = getattr(a, item.name), getattr(b, item.name)
            if isinstance(x, np.ndarray):
                np.testing.assert_array_equal(x, y)
                assert x.dtype == y.dtype
            else:
                assert x == y
    return True


def test_hdf5_returns_every_spectrum_and_truth_unchanged_and_in_order(tmp_path):
    spectra = [*read_capella()[:3], read_capella_cube(), *read_capella()[3:5]]
    truths = {"log_temperature": np.linspace(6, 7, 6), "unknowns": np.arange(12.0).reshape(6, 2)}
    write_spectra(tmp_path / "spectra.h5", spectra, truths)
    assert all(same(a, b) for a, b in zip(spectra, read_spectra(tmp_path / "spectra.h5"), strict=True))
    read = read_truths(tmp_path / "spectra.h5")
    assert read.keys() == truths.keys()
    for name, values in truths.items():
        np.testing.assert_array_equal(read[name], values)


def test_arrays_that_all_spectra_share_are_stored_once(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_spectra(tmp_path / "spectra.h5", [read_capella()[0]] * 20)
    with h5py.File(tmp_path / "spectra.h5") as file:
        assert file["blocks/0000/channels/0/area_exposure"].shape == (1, 1, 896)
    assert len(read_spectra(tmp_path / "spectra.h5")) == 20


def test_truths_of_another_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'log_density' has 3 rows for 2 spectra"):
        write_spectra(tmp_path / "spectra.h5", read_capella()[:2], {"log_density": [9.0, 9.5, 10.0]})


def test_a_damaged_hdf5_file_is_one_sentence(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_spectra(tmp_path / "spectra.h5", read_capella()[:2])
    with h5py.File(tmp_path / "spectra.h5", "a") as file:
        del file["blocks/0000/channels/1/counts"]
    with pytest.raises(SpectrumFormatError, match="damaged or incomplete"):
        read_spectra(tmp_path / "spectra.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(SpectrumFormatError, match="is not a coronium-spectra file"):
        read_spectra(tmp_path / "other.h5")


def meg_table(counts: np.ndarray, tg_m: list[int], **columns: np.ndarray) -> fits.BinTableHDU:
    """A type II SPECTRUM on the archive's MEG grid: 0.005 A, longest wavelength first."""
    low = (1.0 + 0.005 * np.arange(8192)[::-1]).astype(np.float32)
    rows = len(tg_m)
    make = [
        fits.Column("SPEC_NUM", "I", array=np.arange(rows)),
        fits.Column("TG_M", "I", array=np.array(tg_m)),
        fits.Column("TG_PART", "I", array=np.full(rows, 2)),
        fits.Column("COUNTS", "8192I", array=counts),
        fits.Column("BIN_LO", "8192E", array=np.tile(low, (rows, 1)), unit="angstrom"),
        fits.Column("BIN_HI", "8192E", array=np.tile(low + np.float32(0.005), (rows, 1)), unit="angstrom"),
        *(fits.Column(name, "8192I", array=values) for name, values in columns.items()),
    ]
    table = fits.BinTableHDU.from_columns(make, name="SPECTRUM")
    table.header.update({"HDUCLAS4": "TYPE:II", "EXPOSURE": 25000.0, "OBJECT": "IM PEG", "BACKSCUP": 4.0})
    table.header.update({"BACKSCDN": 4.0, "DATE-OBS": "2006-01-02T03:04:05", "OBS_ID": "1234"})
    return table


def test_type_two_orders_are_added_up_on_the_instruments_grid(tmp_path):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (3, 8192))
    up, down = rng.poisson(1.0, (3, 8192)), rng.poisson(1.0, (3, 8192))
    table = meg_table(counts, [-1, 1, 2], BACKGROUND_UP=up, BACKGROUND_DOWN=down)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "meg.pha2")
    (spectrum,) = read_spectra(tmp_path / "meg.pha2", "chandra-meg", distance_pc=96.8)
    (channel,) = spectrum.channels
    meg = get_instrument("chandra-meg")
    np.testing.assert_array_equal(channel.wavelength_edges, meg.channels[0].wavelength_edges)
    # 5-25 A in increasing wavelength, pairs of bins, orders -1 and +1, not +2.
    inside = slice(800, 4800)
    rising = (counts[0] + counts[1])[::-1][inside]
    np.testing.assert_array_equal(channel.counts[0], rising.reshape(-1, 2).sum(axis=1))
    region = (up[:2] + down[:2]).sum(axis=0)[::-1][inside]
    np.testing.assert_array_equal(channel.background[0], region.reshape(-1, 2).sum(axis=1))
    assert channel.background_scale == 8.0
    np.testing.assert_allclose(channel.area_exposure[0], 25000 * meg.channels[0].effective_area, rtol=1e-5)
    assert (spectrum.target, spectrum.name, spectrum.distance_pc) == ("im-peg", "1234", 96.8)
    assert spectrum.exposure_start[0] == 1136171045.0


def test_one_order_alone_needs_its_area(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), meg_table(np.ones((1, 8192)), [1])]).writeto(tmp_path / "meg.pha2")
    with pytest.raises(SpectrumFormatError, match=r"order \+1 alone needs its ARF"):
        read_spectra(tmp_path / "meg.pha2", "chandra-meg")


def test_type_one_reads_its_background_and_masks_bad_quality(tmp_path):
    grid = get_instrument("chandra-meg").channels[0].wavelength_edges[:101]
    quality = np.zeros(100, int)
    quality[5] = 1
    for name, values in (("star.pha", np.arange(100)), ("sky.pha", np.full(100, 7))):
        columns = [
            fits.Column("CHANNEL", "I", array=np.arange(100) + 1),
            fits.Column("COUNTS", "J", array=values),
            fits.Column("QUALITY", "I", array=quality),
            fits.Column("BIN_LO", "D", array=grid[:-1]),
            fits.Column("BIN_HI", "D", array=grid[1:]),
        ]
        table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
        table.header.update({"EXPOSURE": 1e5, "BACKSCAL": 1.0 if name == "star.pha" else 5.0})
        if name == "star.pha":
            table.header["BACKFILE"] = "sky.pha"
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / name)
    (spectrum,) = read_spectra(tmp_path / "star.pha", "chandra-meg")
    (channel,) = spectrum.channels
    assert not channel.mask[0, 5]
    assert channel.counts[0, 5] == channel.background[0, 5] == 0
    np.testing.assert_array_equal(np.delete(channel.counts[0], 5), np.delete(np.arange(100), 5))
    assert np.all(np.delete(channel.background[0], 5) == 7)
    assert channel.background_scale == 5.0
    with pytest.raises(SpectrumFormatError, match="holds 1 spectra; chandra-letg has 2 channels"):
        read_spectra(tmp_path / "star.pha", "chandra-letg")


def test_a_table_of_counts_takes_units_background_and_missing_values(tmp_path):
    lines = ["wavelength,counts,area_exposure,background,background_scale"]
    wavelength = np.arange(15.0, 15.2, 0.01)
    lines += [f"{w:.3f},{i},{2.5e5},3,8" for i, w in enumerate(wavelength)]
    lines[4] = lines[4].replace(",3,2", ",,2")
    (tmp_path / "star.csv").write_text("\n".join(lines))
    (spectrum,) = read_spectra(tmp_path / "star.csv", "chandra-meg", "my star")
    (channel,) = spectrum.channels
    np.testing.assert_allclose(channel.wavelength, wavelength, atol=1e-9)
    assert not channel.mask[0, 3]
    assert channel.mask.sum() == len(wavelength) - 1
    np.testing.assert_array_equal(channel.counts[0, 4:], np.arange(4, len(wavelength)))
    assert np.all(channel.background_scale == 8)
    assert spectrum.target == "my star"
    assert channel.statistic is Statistic.POISSON


def test_energy_fluxes_in_nanometres_become_photons_in_angstrom(tmp_path):
    from astropy import units as u
    from astropy.table import QTable

    wavelength = np.arange(15.0, 15.2, 0.01) * u.AA
    table = QTable({"wavelength": wavelength.to(u.nm)})
    photon_energy = 1.986445857e-8 / wavelength.value * u.erg
    table["flux"] = 2e-4 / u.cm**2 / u.s / u.AA * photon_energy
    table["error"] = 0.1 * table["flux"]
    table.write(tmp_path / "star.ecsv")
    (spectrum,) = read_spectra(tmp_path / "star.ecsv", "chandra-meg")
    (channel,) = spectrum.channels
    assert channel.statistic is Statistic.FLUX
    np.testing.assert_allclose(channel.wavelength, wavelength.value, rtol=1e-9)
    radiance = channel.counts / channel.area_exposure / np.diff(channel.wavelength_edges)
    np.testing.assert_allclose(radiance, 2e-4, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(channel.read_variance), 0.1 * channel.counts, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wavelength,counts\n15.0,1\n14.9,2\n", "wavelengths must be finite and increase"),
        ("wavelength,counts\n15.0,1\n15.1,-2\n", "counts are negative"),
        ("wavelength,flux\n15.0,1\n15.1,2\n", "'flux' needs a column 'error'"),
        ("wavelength,intensity\n15.0,1\n15.1,2\n", "unknown column 'intensity'"),
        ("wavelength\n15.0\n15.1\n", "one of 'counts' and 'flux'"),
        ("wavelength,counts\n15.0,many\n15.1,2\n", "not a number"),
        ("wavelength,counts\n15.0,1\n", "at least two rows"),
        ("wavelength,counts\n55.0,1\n55.1,1\n", "covers 5.00-25.00 A only"),
        ("wavelength,counts,channel\n15.0,1,heg\n15.1,1,heg\n", "no channel 'heg'; it has meg"),
        ("", "at least two rows"),
        ("wavelength,counts\n15.0,1,7,9\n15.1\n", "not a readable table"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(SpectrumFormatError, match=message) as caught:
        read_spectra(tmp_path / "bad.csv", "chandra-meg")
    assert "\n" not in str(caught.value)


def test_an_instrument_of_several_channels_wants_them_named(tmp_path):
    (tmp_path / "star.csv").write_text("wavelength,counts\n15.0,1\n15.1,2\n")
    with pytest.raises(SpectrumFormatError, match="chandra-letg has 2 channels; add a column 'channel'"):
        read_spectra(tmp_path / "star.csv", "chandra-letg")


def test_a_file_of_no_known_kind_or_without_instrument_is_one_sentence(tmp_path):
    (tmp_path / "star.xlsx").write_text("")
    (tmp_path / "star.csv").write_text("wavelength,counts\n15.0,1\n15.1,2\n")
    (tmp_path / "star.fits").write_text("not FITS")
    for arguments, message in (
        (("star.xlsx", "chandra-meg"), "unknown kind of file"),
        (("star.csv",), "name the instrument"),
        (("absent.csv", "chandra-meg"), "no such file"),
        (("star.fits", "chandra-meg"), "star.fits"),
    ):
        with pytest.raises(SpectrumFormatError, match=message):
            read_spectra(tmp_path / arguments[0], *arguments[1:])
