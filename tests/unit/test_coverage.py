"""The coverage table counts what it says, and a run goes on where it was cut off."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import binom

from coronium.evaluation.coverage import PARAMETERS, OtherRun, Row, read_rows, run
from coronium.evaluation.coverage_report import binomial_bounds, cells, document, rank_histograms, summary, table

ROW = Row(
    index=0,
    instrument="hinode-eis",
    plasma="isothermal",
    box="default",
    seed=1,
    amplitude=26.1,
    commit="abc1234",
    true_signal_to_noise=3.0,
    data_signal_to_noise=3.0,
    truth=dict.fromkeys(PARAMETERS, 1.0),
    median=dict.fromkeys(PARAMETERS, 1.1),
    sd=dict.fromkeys(PARAMETERS, 0.2),
    rank=dict.fromkeys(PARAMETERS, 0.5),
    inside=dict.fromkeys(PARAMETERS, (True, True)),
    flags=("not_converged",),
    constraint=dict.fromkeys(PARAMETERS, "measured"),
    r_hat=1.2,
    effective=40.0,
    k_hat=0.5,
    seconds=0.3,
)


def covered(share: float, count: int = 200) -> list[Row]:
    inside = np.arange(count) < share * count
    return [replace(ROW, index=i, inside=dict.fromkeys(PARAMETERS, (bool(x), True))) for i, x in enumerate(inside)]


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_exact_intervals_stay_within_the_bounds_in_99_percent_of_runs(level):
    low, high = binomial_bounds(level, 500)
    inside = binom.cdf(round(high * 500), 500, level) - binom.cdf(round(low * 500) - 1, 500, level)
    assert 0.99 <= inside < 0.996


@pytest.mark.parametrize(("share", "holds"), [(0.68, True), (0.5, False), (0.9, False)])
def test_too_narrow_and_too_wide_intervals_miss(share, holds):
    # All 95 % intervals hold the truth here: with 200 of them that is too many, so look at 68 % alone.
    for cell in cells(covered(share)):
        low, high = cell.bounds[0]
        assert (low <= cell.covered[0] <= high) is holds
        assert cell.covered[0] == pytest.approx(share)
    assert "**MISS**" in table(covered(0.5))


def test_flagged_spectra_count():
    rows = [*covered(0.68), replace(ROW, flags=(), data_signal_to_noise=30.0)]
    whole = [cell for cell in cells(rows) if not np.isfinite(cell.high) and cell.low == 0.0]
    assert {cell.count for cell in whole} == {201}
    assert "99.5 %" in summary(rows)


def test_a_run_that_was_cut_off_in_a_line_goes_on_behind_the_last_whole_one(tmp_path):
    file = tmp_path / "run.jsonl"
    lines = [json.dumps(asdict(replace(ROW, index=i))) for i in range(3)]
    file.write_text("\n".join(lines)[:-20])
    assert [row.index for row in read_rows(file)] == [0, 1]


def test_a_run_does_not_go_on_with_the_rows_of_another(tmp_path):
    file = tmp_path / "run.jsonl"
    before = json.dumps(asdict(replace(ROW, seed=2))) + "\n"
    file.write_text(before)
    with pytest.raises(OtherRun, match="give another file"):
        run(file, "hinode-eis", 2, seed=1)
    assert file.read_text() == before


def test_the_page_says_which_presets_have_not_been_measured(tmp_path):
    page = document(covered(0.68, 500), tmp_path / "ranks.png", tmp_path / "page.md")
    assert "Fewer than 500 spectra have been fitted so far for chandra-letg (0), " in page
    assert "hinode-eis (" not in page
    rank_histograms(covered(0.68), tmp_path / "ranks.png")
    assert (tmp_path / "ranks.png").stat().st_size > 5000
