"""Capella's O VII triplet, measured by hand on the real counts, and the table it is compared with."""

import re

import numpy as np
import pytest

from coronium.evaluation.o7_capella import measure_capella
from coronium.evaluation.o7_density import ratio_of
from coronium.physics.atomic.table import load_table
from tests._shared import shared_path

DEVIATES = {11.0: "the reference, CHIANTI 8, lies 10-11 % above the 10.1 collision data there (docs/atomic-data.md)"}


@pytest.fixture(scope="module")
def table():
    return load_table()


@pytest.fixture(scope="module")
def capella(table):
    return measure_capella(table)


def test_capellas_f_over_i_is_between_two_and_five_with_the_expected_counts(capella):
    triplet = capella.triplet
    assert triplet.f_over_i - 2 * triplet.error > 2.0
    assert triplet.f_over_i + 2 * triplet.error < 5.0
    # The data's README says about 150 counts of f per exposure and order, and there are 25 x 2 of these.
    assert 100 < triplet.line_counts[2] / 50 < 180
    assert 0.049 < triplet.fwhm < 0.060
    assert abs(triplet.shift) < 0.010


def test_orders_line_shapes_and_blends_agree_within_their_errors(capella):
    triplet, variants = capella.triplet, capella.variants
    negative, positive = variants["negative order alone"], variants["positive order alone"]
    apart = abs(negative.f_over_i - positive.f_over_i)
    assert apart < 2.5 * np.hypot(negative.error, positive.error)
    for name in ("a shift and width of its own for each line", "three lines alone, bins of other lines left out"):
        assert abs(variants[name].f_over_i - triplet.f_over_i) < triplet.error, name
    # A slope trades continuum for blends: a systematic as large as the error.
    assert abs(variants["a continuum with a slope"].f_over_i - triplet.f_over_i) < 2 * triplet.error
    # Without the blends the continuum is too high and the fit bad: why they are in the measurement.
    assert variants["three lines alone, all bins"].deviance > 2 * triplet.deviance


def test_the_density_is_in_the_literatures_range(capella):
    density = capella.density
    assert density.interval95[1] > 9.3
    assert density.interval95[0] < 10.3
    assert density.upper_limit < 10.3


@pytest.mark.shared
def test_f_over_i_of_the_table_agrees_with_chianti_8_within_ten_percent(table):
    text = shared_path("data", "README.md").read_text()
    row = re.search(r"O VII f/i at log T ([\d.]+), log n ([\d./]+): ([\d. ]+)", text)
    assert row is not None
    log_n = np.array(row[2].split("/"), float)
    deviation = dict(
        zip(log_n, ratio_of(table, float(row[1]), log_n) / np.array(row[3].split(), float) - 1, strict=True)
    )
    assert {n for n, d in deviation.items() if abs(d) > 0.10} <= set(DEVIATES)
    # Where the hand measurement lies, the table is much better than that.
    assert all(abs(d) < 0.03 for n, d in deviation.items() if n < 9.8)
