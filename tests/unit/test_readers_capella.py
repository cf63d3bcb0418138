"""Capella's extract holds what was published: every count once, every area within half a percent."""

from pathlib import Path

import numpy as np
import pytest

from coronium.physics.instruments import get_instrument
from coronium.physics.readers.capella import read_capella, read_capella_cube
from tests._shared import shared_path


def _published(kind: str, order: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Column names and rows of the two wavelength files of an order."""
    folder = shared_path("data", "capella_chandra_letg")
    tables = []
    for span in ("11t18", "17t23"):
        lines = (folder / f"hl{order}_{kind}_{span}.rdb").read_text().splitlines()
        lines = [line for line in lines if not line.startswith("#")]
        tables.append((lines[0].split(), np.array([line.split() for line in lines[2:]], dtype=float)))
    return tables[0][0], tables[0][1], tables[1][1]


def test_the_observations_are_25_spectra_and_one_cube_of_25_exposures():
    spectra, cube = read_capella(), read_capella_cube()
    assert len(spectra) == cube.exposures == 25
    assert len({spectrum.name for spectrum in spectra}) == 25
    for number, spectrum in enumerate(spectra):
        assert spectrum.exposures == 1
        assert spectrum.target == cube.target == "capella"
        for alone, together in zip(spectrum.channels, cube.channels, strict=True):
            np.testing.assert_array_equal(alone.counts[0], together.counts[number])
            np.testing.assert_array_equal(alone.area_exposure[0], together.area_exposure[number])


def test_the_grid_is_the_instruments_and_masked_ranges_hold_no_counts():
    instrument = get_instrument("chandra-letg")
    for channel in read_capella_cube().channels:
        np.testing.assert_array_equal(channel.wavelength_edges, instrument.channel(channel.name).wavelength_edges)
        assert np.all(channel.counts[~channel.mask] == 0)
        assert np.all(np.isfinite(channel.area_exposure))
        assert np.all(channel.background_scale == 10)


@pytest.mark.parametrize(("order", "name"), [("n", "letg-negative"), ("p", "letg-positive")])
def test_every_wavelength_enters_once(order, name):
    names, below, above = _published("ct", order)
    channel = {c.name: c for c in read_capella_cube().channels}[name]
    low, high = channel.wavelength_edges[:-1], channel.wavelength_edges[1:]
    assert np.all(low[1:] >= high[:-1] - 1e-9)
    columns = [i for i, column in enumerate(names) if column.startswith("sct_")]
    rows = np.concatenate([below[below[:, 1] <= 17.5001], above[above[:, 0] >= 17.5]])
    expected = 0
    for first, last in zip(low, high, strict=True):
        if channel.mask[0][np.searchsorted(channel.wavelength_edges, first, side="right") - 1]:
            inside = (rows[:, 0] >= first - 2e-4) & (rows[:, 1] <= last + 2e-4)
            assert inside.sum() == 2
            expected += rows[inside][:, columns].sum()
    assert channel.counts.sum() == expected > 400_000


@pytest.mark.parametrize(("order", "name"), [("n", "letg-negative"), ("p", "letg-positive")])
def test_area_times_exposure_survives_compression_to_half_a_percent(order, name):
    _, below, above = _published("ea", order)
    rows = np.concatenate([below[below[:, 1] <= 17.4], above[(above[:, 0] >= 17.6) & (above[:, 1] < 22.98)]])
    channel = {c.name: c for c in read_capella_cube().channels}[name]
    centre = 0.5 * (rows[:, 0] + rows[:, 1])
    for exposure in range(25):
        area = np.interp(centre, channel.wavelength, channel.area_exposure[exposure])
        # Published in cm2 ks.
        np.testing.assert_allclose(area, 1e3 * rows[:, 4 + exposure], rtol=5e-3)


@pytest.mark.parametrize(
    ("line", "first_order"),
    [("S XV", 5.039), ("Si XIV", 6.182), ("Si XIII", 6.648), ("Si XIII", 6.688), ("Si XIII", 6.740)],
)
def test_third_order_lines_are_masked_and_listed(line, first_order):
    cube = read_capella_cube()
    for channel, response in zip(cube.channels, get_instrument("chandra-letg").channels, strict=True):
        core = np.abs(channel.wavelength - 3 * first_order) < 0.5 * response.fwhm
        assert core.any()
        assert not response.mask[core].any()
        assert not channel.mask[:, core].any()
        assert not channel.counts[:, core].any()
    page = (Path(__file__).parents[2] / "docs" / "instruments.md").read_text()
    assert f"{line} {first_order:.2f}" in page


@pytest.mark.parametrize(("line", "first_order"), [("Mg XII", 7.106), ("Mg XI", 7.310), ("Mg XI", 7.473)])
def test_third_order_lines_that_are_not_masked_cannot_be_seen(line, first_order):
    """Al XIII 7.17 and S XVI 4.73 land on the wings of strong first-order lines, where nobody can tell."""
    channels = read_capella_cube().channels
    wavelength = channels[0].wavelength
    away = np.abs(wavelength - 3 * first_order)
    counts = sum(channel.counts.sum(0) for channel in channels)
    core, beside = away < 0.035, (away > 0.06) & (away < 0.12)
    excess = counts[core].sum() - core.sum() * np.median(counts[beside])
    assert excess < 3.0 * np.sqrt(counts[core].sum())


@pytest.mark.parametrize("line", [15.014, 18.969, 21.602, 22.098])
def test_the_strong_lines_lie_where_the_laboratory_puts_them(line):
    for channel in read_capella_cube().channels:
        near = np.abs(channel.wavelength - line) < 0.05
        counts = channel.counts.sum(axis=0)[near]
        counts = counts - counts.min()
        assert np.average(channel.wavelength[near], weights=counts) == pytest.approx(line, abs=0.012)
