"""What the pictures promise: labels that can be read, every value shown as what it is, clear errors."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from coronium.client.reading import read_result
from coronium.client.result import Result
from coronium.contract.conversion import spectrum_to_message
from coronium.contract.identity import fingerprint
from coronium.physics.readers.capella import read_capella, read_capella_cube
from coronium.physics.spectrum import Spectrum
from coronium.pictures import capella_history, raster_maps, spectrum_picture
from coronium.pictures.line_labels import place_labels
from coronium.pictures.maps import cells
from coronium.pictures.panels import panels
from coronium.pictures.words import in_mathtext, target_title
from coronium.v1 import posterior_pb2, spectrum_pb2
from tests.unit.posterior_factory import EPOCH_ZERO, posterior

LETG_LINES = {"Fe XVII 15.014": 15.014, "Fe XVII 17.051+": 17.051, "Fe XVII 17.096": 17.096, "O VIII 18.967": 18.967}
UNITS = {"log_temperature": "dex(K)", "log_density": "dex(cm-3)", "log_emission_measure": "dex(cm-3)"}
BANDS_BINS = 640


def result_of(
    spectrum: Spectrum,
    constraint: int = posterior_pb2.CONSTRAINT_MEASURED,
    flags: Sequence[int] = (),
    lines: dict[str, float] = LETG_LINES,
) -> Result:
    """Return the factory's posterior of a spectrum with a band like the one a fit makes, from the data themselves."""
    message = posterior(spectrum.target)
    message.instrument, message.name = spectrum.instrument, spectrum.name
    message.annotations.update(spectrum.annotations)
    message.flags.extend(flags)
    message.observed_at.FromSeconds(int(spectrum.exposure_start[0]))
    for summary in message.parameters:
        summary.unit = UNITS.get(summary.name, "dex")
        if summary.name == "log_density":
            summary.constraint, summary.limit95 = constraint, 10.3
    del message.lines[:], message.predictive[:]
    for label, wavelength in lines.items():
        message.lines.add(
            label=label, wavelength=wavelength, probability=0.99, identified=True, predicted_signal_to_noise=9.0
        )
    rebinned = max(1, -(-sum(channel.bins for channel in spectrum.channels) // BANDS_BINS))
    for channel in spectrum.channels:
        counts = np.where(channel.mask, channel.counts, 0.0).sum(axis=0)
        starts = np.arange(0, channel.bins, rebinned)
        mean = np.add.reduceat(np.convolve(counts, [0.25, 0.5, 0.25], "same"), starts)
        band = message.predictive.add(name=channel.name, rebinned=rebinned)
        band.wavelength.extend(channel.wavelength[starts])
        band.median.extend(mean)
        band.lower.extend(mean - np.sqrt(mean + 1.0))
        band.upper.extend(mean + np.sqrt(mean + 1.0))
    observation = spectrum_pb2.Observation(spectrum=spectrum_to_message(spectrum))
    observation.fingerprint = fingerprint(observation.spectrum)
    message.fingerprints[:] = [observation.fingerprint]
    return read_result(message, observation)


def place(column: int, row: int, constraint: int = posterior_pb2.CONSTRAINT_MEASURED, hours: float = 2.0) -> Result:
    """Return a result of one place of a raster with cells of 12 x 10 arcsec."""
    message = posterior(f"sun/ar12807/x{column:03d}y{row:03d}", fitted_hours=hours, log_temperature=6.2 + 0.02 * row)
    message.annotations.update({"solar_x_arcsec": str(-60 + 12 * column), "solar_y_arcsec": str(-250 + 10 * row)})
    message.instrument = "hinode-eis"
    for summary in message.parameters:
        if summary.name == "log_density":
            summary.constraint, summary.limit95 = constraint, 9.5
    return read_result(message)


def assert_a_picture(path: Path) -> None:
    pixels = imread(path)
    assert path.stat().st_size > 30_000
    assert pixels.shape[1] > 1400
    assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("seed", range(20))
def test_no_two_labels_overlap_and_none_leaves_its_line(seed: int):
    random = np.random.default_rng(seed)
    wanted = np.concatenate([random.uniform(11, 23, 20), random.normal(15.0, 0.1, 20)])
    importance = random.uniform(3, 50, len(wanted))
    kept, placed = place_labels(wanted, importance, spacing=0.13, low=11.0, high=23.0, most_shift=0.6)
    assert len(kept) > 15
    assert np.diff(placed).min() >= 0.13 * (1 - 1e-9)
    assert placed.min() >= 11.0
    assert placed.max() <= 23.0
    assert np.abs(placed - wanted[kept]).max() <= 0.6
    assert np.all(np.diff(wanted[kept]) >= 0)


def test_labels_that_do_not_touch_stay_on_their_lines():
    wanted = np.array([21.602, 22.098, 18.967])
    kept, placed = place_labels(wanted, [1, 2, 3], spacing=0.1, low=18.0, high=23.0, most_shift=0.5)
    assert placed == pytest.approx(wanted[kept])
    assert list(kept) == [2, 0, 1]


def test_in_a_crowd_the_least_important_label_goes():
    wanted, importance = np.full(5, 15.0), np.array([5.0, 1.0, 4.0, 3.0, 2.0])
    kept, _ = place_labels(wanted, importance, spacing=0.1, low=14.0, high=16.0, most_shift=0.101)
    assert sorted(kept) == [0, 2, 3]


def test_labels_at_the_end_of_a_row_stay_inside():
    kept, placed = place_labels([22.98, 22.99, 30.0], [1, 1, 1], spacing=0.1, low=11.0, high=23.0, most_shift=0.5)
    assert list(kept) == [0, 1]
    assert placed == pytest.approx([22.9, 23.0])


def test_panels_hold_every_count_of_the_data():
    cube = read_capella_cube()
    pieces = panels(result_of(cube), cube)
    counts = sum(float(channel.counts[channel.mask].sum()) for channel in cube.channels)
    assert sum(np.nansum(piece.data) for piece in pieces) == pytest.approx(counts)
    assert all(a.edges[-1] == b.edges[0] for a, b in pairwise(pieces))


def test_a_bin_of_which_a_part_is_masked_shows_no_dip():
    spectrum = read_capella()[0]
    flat = replace(
        spectrum,
        channels=tuple(
            replace(channel, counts=(7.0 * np.diff(channel.wavelength_edges) * channel.mask).astype(np.float32))
            for channel in spectrum.channels
        ),
    )
    for piece in panels(result_of(flat), flat):
        density = piece.data / piece.width
        assert density[np.isfinite(density)] == pytest.approx(14.0, rel=1e-4)


def test_residuals_are_in_units_of_the_noise_that_the_model_expects():
    spectrum = read_capella()[0]
    for piece in panels(result_of(spectrum), spectrum):
        good = np.isfinite(piece.data) & (piece.model > 0)
        expected = (piece.data - piece.model)[good] / np.sqrt(piece.model[good])
        assert piece.residual[good] == pytest.approx(expected)


def test_a_stellar_spectrum_becomes_a_picture(tmp_path: Path):
    cube = read_capella_cube()
    result = result_of(cube, posterior_pb2.CONSTRAINT_UPPER_LIMIT, [posterior_pb2.FLAG_POORLY_FITTED])
    spectrum_picture(result, result.observation, tmp_path / "capella.png")
    assert_a_picture(tmp_path / "capella.png")


def test_a_raster_pixel_becomes_a_picture_also_where_windows_do_not_reach(tmp_path: Path):
    pytest.importorskip("eispac")
    from coronium.physics.readers.eis import read_raster

    spectra = read_raster()
    for name, spectrum in {"edge": spectra[0], "middle": spectra[len(spectra) // 2]}.items():
        result = result_of(spectrum, lines={"Fe XII 186.887+": 186.887, "Fe XII 192.394": 192.394})
        spectrum_picture(result, result.observation, tmp_path / f"{name}.png")
        assert_a_picture(tmp_path / f"{name}.png")


def test_a_picture_leaves_the_settings_of_matplotlib_alone(tmp_path: Path):
    before = dict(matplotlib.rcParams)
    result = result_of(read_capella()[0])
    spectrum_picture(result, result.observation, tmp_path / "one.png")
    assert dict(matplotlib.rcParams) == before


def test_a_spectrum_without_data_or_band_is_refused_in_one_sentence(tmp_path: Path):
    result = result_of(read_capella()[0])
    with pytest.raises(ValueError, match="with_observation"):
        spectrum_picture(result, None, tmp_path / "none.png")
    with pytest.raises(ValueError, match="no predictive band"):
        spectrum_picture(replace(result, predictive={}), result.observation, tmp_path / "none.png")
    only = {"letg-negative": result.predictive["letg-negative"]}
    with pytest.raises(ValueError, match="letg-positive"):
        spectrum_picture(replace(result, predictive=only), result.observation, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_a_raster_becomes_maps(tmp_path: Path):
    constraints = [
        posterior_pb2.CONSTRAINT_MEASURED,
        posterior_pb2.CONSTRAINT_UPPER_LIMIT,
        posterior_pb2.CONSTRAINT_LOWER_LIMIT,
        posterior_pb2.CONSTRAINT_UNCONSTRAINED,
    ]
    found = [place(column, row, constraints[(column + row) % 4]) for column in range(4) for row in range(5)]
    raster_maps(found, tmp_path / "maps.png")
    assert_a_picture(tmp_path / "maps.png")


def test_a_map_of_unconstrained_densities_is_drawn(tmp_path: Path):
    found = [place(column, row, posterior_pb2.CONSTRAINT_UNCONSTRAINED) for column in range(2) for row in range(2)]
    raster_maps(found, tmp_path / "maps.png")
    assert_a_picture(tmp_path / "maps.png")


def test_cells_of_a_raster_touch_and_do_not_overlap():
    grid = cells([place(column, row) for column in range(3) for row in range(2)])
    assert {(round(cell.right - cell.left, 6), round(cell.top - cell.bottom, 6)) for cell in grid} == {(12.0, 10.0)}
    assert sorted({round(cell.left) for cell in grid}) == [-66, -54, -42]


def test_the_last_result_of_a_place_is_the_one_on_the_map():
    grid = cells([place(0, 0, hours=5.0), place(0, 0, hours=2.0), place(1, 0)])
    assert len(grid) == 2
    assert {cell.result.fitted_at for cell in grid} == {EPOCH_ZERO + timedelta(hours=hours) for hours in (2.0, 5.0)}


def test_maps_of_nothing_or_of_a_star_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="No results"):
        raster_maps([], tmp_path / "maps.png")
    with pytest.raises(ValueError, match="no place in a raster"):
        raster_maps([read_result(posterior("capella"))], tmp_path / "maps.png")
    with pytest.raises(ValueError, match="solar_x_arcsec"):
        raster_maps([replace(place(0, 0), annotations={})], tmp_path / "maps.png")


def test_twenty_years_of_a_star_become_a_picture(tmp_path: Path):
    constraints = (posterior_pb2.CONSTRAINT_UPPER_LIMIT, posterior_pb2.CONSTRAINT_UNCONSTRAINED, 1)
    found = [result_of(spectrum, constraints[i % 3]) for i, spectrum in enumerate(read_capella())]
    found.append(result_of(read_capella_cube(), posterior_pb2.CONSTRAINT_UPPER_LIMIT))
    capella_history(found, tmp_path / "history.png")
    assert_a_picture(tmp_path / "history.png")


def test_a_history_of_nothing_or_of_two_stars_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="No result of a single dated exposure"):
        capella_history([], tmp_path / "history.png")
    with pytest.raises(ValueError, match="one target"):
        capella_history([read_result(posterior("capella")), read_result(posterior("vega"))], tmp_path / "history.png")


def test_a_limit_is_written_as_a_limit_and_never_as_a_value():
    result = result_of(read_capella()[0], posterior_pb2.CONSTRAINT_UPPER_LIMIT)
    assert "< 10.30" in in_mathtext(result.log_density)
    assert r"\pm" not in in_mathtext(result.log_density)
    free = result_of(read_capella()[0], posterior_pb2.CONSTRAINT_UNCONSTRAINED)
    assert in_mathtext(free.log_density).endswith("unconstrained")


def test_an_interval_narrower_than_a_percent_is_not_written_as_zero():
    narrow = replace(result_of(read_capella()[0]).log_temperature, median=6.25, lower=6.246, upper=6.253)
    assert in_mathtext(narrow) == r"$\log T\ [\mathrm{K}] = 6.250^{+0.003}_{-0.004}$"


def test_a_place_on_the_sun_is_named_by_its_region_and_position():
    assert target_title(place(0, 0)) == "AR 12807 at ($-60$″, $-250$″)"
    assert target_title(read_result(posterior("capella"))) == "Capella"
