"""Posteriors beside plain methods: what holds, what misses, what fits badly and why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from coronium.cli.evaluate import app
from coronium.evaluation.line_misfits import NOT_EXPLAINED, Prediction, worst_lines
from coronium.evaluation.misfit_reasons import Fitted, formation_temperature, reasons
from coronium.evaluation.o7_capella import HandMeasurement, measure_capella
from coronium.evaluation.sky import density_checks, fe12_densities, flag_check, raster_checks, temperature_checks
from coronium.evaluation.sky_misfits import misfits
from coronium.evaluation.sky_results import SkyError, SkyResults, interval95, read_results
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.readers.capella import read_capella, read_capella_cube
from coronium.physics.spectrum import Spectrum
from tests.unit.test_pictures import result_of


@pytest.fixture(scope="module")
def table() -> EmissivityTable:
    return load_table()


@pytest.fixture(scope="module")
def hand(table) -> HandMeasurement:
    return measure_capella(table)


def parameter(median: float, sd: float = 0.05, constraint: str = "measured") -> dict[str, Any]:
    return {
        "median": median,
        "lower95": median - 2 * sd,
        "upper95": median + 2 * sd,
        "constraint": constraint,
        "limit": median + 1.7 * sd if constraint == "upper_limit" else None,
    }


def record(spectrum: Spectrum, log_n: float = 9.5, log_t: float = 6.7, **density: Any) -> dict[str, Any]:
    """Return a result as the demonstration writes it, with its predictive bands."""
    found = json.loads(json.dumps(result_of(spectrum).to_dict(arrays=True)))
    found["draws"] = None
    found["parameters"]["log_density"] = parameter(log_n, **density)
    found["parameters"]["log_temperature"] = parameter(log_t)
    found["diagnostics"] |= {"statistic": 900.0, "expected_statistic": 880.0, "statistic_deviation": 40.0}
    return found


def sky(cube: dict[str, Any], exposures: list = [], raster: list = []) -> SkyResults:  # noqa: B006
    return SkyResults(cube, list(exposures), list(raster))


def test_a_density_that_holds_and_one_that_misses(table, hand):
    spectrum = read_capella_cube()
    assert all(check.holds for check in density_checks(record(spectrum, 9.55, sd=0.2), hand, table))
    assert not any(check.holds for check in density_checks(record(spectrum, 10.6, sd=0.1), hand, table))
    limit = density_checks(record(spectrum, 9.6, sd=0.2, constraint="upper_limit"), hand, table)
    assert all(check.holds for check in limit)
    assert "below 9.94 (upper limit)" in limit[0].wanted


def test_the_posteriors_draws_are_turned_into_f_over_i(table, hand):
    cube = record(read_capella_cube(), 9.6, sd=0.2)
    random = np.random.default_rng(1)
    cube["draws"] = {
        "log_density": random.normal(9.6, 0.2, 200).tolist(),
        "log_temperature": random.normal(6.7, 0.02, 200).tolist(),
    }
    checks = density_checks(cube, hand, table)
    assert len(checks) == 4
    assert checks[-1].holds


def test_emission_weighted_temperature_is_preferred_and_judged_for_every_exposure():
    cube = record(read_capella_cube(), log_t=6.5)
    cube["parameters"]["emission_weighted_log_temperature"] = parameter(6.78)
    exposures = [record(s, log_t=t) for s, t in zip(read_capella(), (6.55, 6.90, 6.93), strict=False)]
    together, one_by_one = temperature_checks(sky(cube, exposures))
    assert together.holds
    assert "6.780" in together.measured
    assert not one_by_one.holds
    assert "2 of 3 within" in one_by_one.measured


def test_the_rasters_median_is_compared_on_the_same_macropixels(table):
    pytest.importorskip("eispac")
    from coronium.physics.readers.eis import read_raster

    spectra = read_raster()[20:26]
    plain = fe12_densities(spectra, table)
    assert ((plain > 8.5) & (plain < 10)).all()
    near = [record(s, n + 0.1) for s, n in zip(spectra, plain, strict=True)]
    near[0]["parameters"]["log_density"] = parameter(11.9, constraint="unconstrained")
    (check,) = raster_checks(near, spectra, table)
    assert check.holds
    assert "+0.10" in check.measured
    assert "5 of 6" in check.what
    (far,) = raster_checks([record(s, n + 0.5) for s, n in zip(spectra, plain, strict=True)], spectra, table)
    assert not far.holds
    (none,) = raster_checks([record(s, 9.0, constraint="unconstrained") for s in spectra], spectra, table)
    assert none.holds is None


def test_a_bad_fit_without_its_flag_is_a_miss():
    good, bad = record(read_capella_cube()), record(read_capella()[0])
    bad["diagnostics"]["statistic"] = 2000.0
    assert not flag_check(sky(good, [bad])).holds
    bad["flags"] = ["poorly_fitted"]
    check = flag_check(sky(good, [bad]))
    assert check.holds
    assert "1 of 1 flagged, of 2 results" in check.measured


def predictions(spectrum: Spectrum) -> dict[str, Prediction]:
    return {c.name: Prediction(np.where(c.mask, c.counts, 0).sum(axis=0).astype(float), 1) for c in spectrum.channels}


def test_the_worst_line_comes_first_with_its_numbers_and_its_reason(table):
    cube = read_capella_cube()
    predicted = predictions(cube)
    for channel in cube.channels:
        for wavelength, factor in ((15.014, 0.8), (18.967, 0.95)):
            predicted[channel.name].mean[np.abs(channel.wavelength - wavelength) < 0.1] *= factor
    lines = [("O VIII 18.967", 18.967), ("Fe XVII 15.014", 15.014), ("Fe XVII 17.051+", 17.051)]
    found = worst_lines(cube, predicted, lines, Fitted(6.75), table)
    assert [line.label for line in found] == ["Fe XVII 15.014", "O VIII 18.967", "Fe XVII 17.051+"]
    assert found[0].observed / found[0].predicted == pytest.approx(1 / 0.8)
    assert found[0].residual > 20
    assert "lowest five levels" in found[0].why
    assert "multithermal: formed at log T 6.47" in found[1].why
    assert found[2].statistic == pytest.approx(0.0, abs=1e-6)
    assert len(worst_lines(cube, predicted, lines, Fitted(6.75), table, most=2)) == 2


def test_masked_bins_and_lines_outside_the_data_do_not_count(table):
    cube = read_capella_cube()
    masked = [replace(c, mask=c.mask & (np.abs(c.wavelength - 18.967) > 0.2)) for c in cube.channels]
    cube = replace(cube, channels=tuple(masked))
    lines = [("O VIII 18.967", 18.967), ("O VII 21.602", 21.602)]
    assert [line.label for line in worst_lines(cube, predictions(cube), lines, Fitted(6.7), table)] == ["O VII 21.602"]
    with pytest.raises(ValueError, match="predicts no channel"):
        worst_lines(cube, {}, lines, Fitted(6.7), table)


def test_reasons_are_known_causes_and_nothing_else(table):
    def why(
        label: str, instrument: str = "chandra-letg", residual: float = 9.0, log_t: float = 6.75, width: float = 0.0
    ) -> str:
        fitted = Fitted(log_t, width)
        return "; ".join(reasons(label, float(label.split()[2]), instrument, fitted, table, residual, 50.0, 10))

    assert why("Fe XVII 15.014", residual=1.0).startswith("flanks")
    assert "lowest five" not in why("Fe XVII 15.014", residual=1.0)
    assert why("Fe XVII 15.014", residual=4.0).startswith("flanks")
    assert "lowest five" in why("Fe XVII 15.014", residual=4.0)
    assert why("Fe XVIII 14.208") == "third order of S XVI 4.73"
    assert why("Fe XVIII 16.071", log_t=6.85) == ""
    assert "excited from the lowest five levels" in why("Fe XVII 15.014")
    assert "multithermal" in why("O VII 21.602")
    assert "one peak of width 0.10" in why("O VII 21.602", width=0.1)
    assert why("O VII 21.602", width=0.3) == ""
    assert formation_temperature(table, "Fe XII", 192.394) == pytest.approx(6.2, abs=0.06)
    assert np.isnan(formation_temperature(table, "Xx I", 100.0))
    assert NOT_EXPLAINED == "not explained"


def test_limits_are_intervals_open_on_one_side():
    assert interval95(parameter(9.0, 0.1, "upper_limit")) == (-np.inf, pytest.approx(9.17))
    assert interval95(parameter(9.0, 0.1)) == pytest.approx((8.8, 9.2))


def test_results_that_carry_their_prediction_are_not_fitted_again(table):
    spectrum = read_capella_cube()
    found = misfits("Capella", record(spectrum), spectrum, table)
    assert not found.refitted
    assert found.identified == 4
    assert {line.label for line in found.lines} == {
        "Fe XVII 15.014",
        "Fe XVII 17.051+",
        "Fe XVII 17.096",
        "O VIII 18.967",
    }


def test_the_page_is_written_from_a_results_file(tmp_path: Path, monkeypatch):
    # The command sets it for JAX; afterwards it is as it was.
    monkeypatch.setenv("XLA_FLAGS", "")
    records = [record(read_capella_cube()), *(record(s) for s in read_capella()[:2])]
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"results": records}))
    page, picture = tmp_path / "docs" / "sky.md", tmp_path / "docs" / "pictures" / "o7.png"
    outcome = CliRunner().invoke(app, ["sky", str(file), "--output", str(page), "--picture", str(picture)])
    assert outcome.exit_code == 0, outcome.output
    text = page.read_text()
    assert "pictures/o7.png" in text
    assert "f/i = 3." in text
    assert "| nan" not in text
    assert "| the same, 2 exposures one by one |" in text
    assert "The prediction is the result's own." in text
    assert picture.stat().st_size > 30_000


@pytest.mark.parametrize("content", ["", "[]", '{"results": []}', '{"results": [{"target": "capella"}]}'])
def test_a_file_that_is_no_result_is_one_sentence(tmp_path, content):
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(SkyError):
        read_results(file)
