"""The shipped emissivity table against CHIANTI's own IDL results."""

import numpy as np
import pytest

from coronium.evaluation import atomic_oracles as oracles
from coronium.physics.atomic.table import load_table
from tests._shared import shared_path

EXPECTED_FAILURES = {
    "Ca XV 181.90/200.97": "marked in the CHIANTI tree's README: its collision data are newer than the reference's",
    "O VII f/i": "above log n 10 the reference, CHIANTI 8, lies up to 11 % above the 10.1 collision data used here",
    "O VII (f+i)/r": "at log T 6.5 the two-ion model of CHIANTI 9 and later recombines more into the triplet",
}


@pytest.fixture(scope="module")
def table():
    return load_table()


@pytest.mark.shared
def test_contribution_functions_agree_with_idl_within_five_percent(table):
    pytest.importorskip("asdf_astropy")
    for line in oracles.contribution_functions(table, shared_path("data", "fiasco_idl_refs")):
        assert line.least > 0.95, line
        assert line.greatest < 1.05, line


@pytest.mark.shared
def test_density_ratios_agree_within_seven_percent_but_for_the_listed_ones(table):
    rows = oracles.density_ratios(table, shared_path("data", "README.md"))
    off = {row.name for row in rows if abs(row.table / row.reference - 1) > 0.07}
    assert off == set(EXPECTED_FAILURES)
    assert len(rows) == 5 * 6 + 6 + 3


@pytest.mark.shared
def test_line_fluxes_per_band_agree_with_the_isothermal_spectra(table):
    path = shared_path("data", "chianti10_isothermal", "XRT_emiss_model.default_CHIANTI.geny.gz")
    median = oracles.median_by_band(oracles.isothermal_bands(table, path))
    for band in ((90.0, 300.0), (5.0, 25.0)):
        assert median[band][0] == pytest.approx(1.0, abs=0.1), band


@pytest.mark.shared
def test_the_continuum_agrees_where_nothing_else_is_left(table):
    path = shared_path("data", "chianti10_isothermal", "XRT_emiss_model.default_CHIANTI.geny.gz")
    hot = [row for row in oracles.isothermal_bands(table, path) if row.log_temperature > 7.55]
    totals = [row.total_ratio for row in hot if row.band == (300.0, 400.0)]
    # Ours is 9 % brighter there (measured 1.090 and 1.093), for a reason not found yet; more than that would be new.
    assert len(totals) > 0
    np.testing.assert_allclose(totals, 1.0, atol=0.12)
