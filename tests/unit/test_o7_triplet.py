"""The O VII triplet measured by hand: what went in comes out, with honest errors, and a density from it."""

from dataclasses import replace

import numpy as np
import pytest

from coronium.evaluation.o7_data import TRIPLET, TripletData, coadded, templates
from coronium.evaluation.o7_density import PRIOR, density_from_ratio, ratio_of, tabulated
from coronium.evaluation.o7_triplet import beta_profile, fit_triplet
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.readers.capella import read_capella_cube

F_OVER_I = 3.6


@pytest.fixture(scope="module")
def table() -> EmissivityTable:
    return load_table()


def expected(f_over_i: float = F_OVER_I, counts: float = 1700.0) -> TripletData:
    """Return the mean of a triplet, `counts` of it in i, with an area that falls by a tenth over the window."""
    edges = np.linspace(21.40, 22.36, 73)
    area = np.linspace(1.05e7, 0.95e7, 72)
    flux = np.array([5.0, 1.0, f_over_i]) * counts
    profile = beta_profile(edges, np.array(TRIPLET) + 0.004, np.full(3, 0.054))
    background = np.full(72, 30.0)
    mean = (flux @ profile + 100.0) * area / area.mean() + background
    return TripletData(edges, mean, area, background)


def gaussian(f_over_i: float, error: float):
    return lambda ratio: -0.5 * ((ratio - f_over_i) / error) ** 2


def test_the_fit_returns_the_ratio_of_fluxes_that_went_in():
    found = fit_triplet(expected(), [])
    assert found.f_over_i == pytest.approx(F_OVER_I, rel=1e-4)
    assert found.shift == pytest.approx(0.004, abs=1e-5)
    assert found.fwhm == pytest.approx(0.054, rel=1e-3)
    assert found.flux[2] / found.flux[1] == pytest.approx(F_OVER_I, rel=1e-4)
    assert found.flux[1] * 1e7 == pytest.approx(1700.0, rel=1e-3)
    # Counts of f are fewer than the ratio of fluxes says, since the area falls.
    assert found.line_counts[2] / found.line_counts[1] < F_OVER_I
    assert found.deviance < 0.01


def test_known_blends_take_their_own_flux_and_leave_the_ratio(table):
    others = templates(table)
    data = expected()
    calcium = next(template for template in others if template.label == "Ca XVI")
    lines = calcium.share @ beta_profile(data.edges, calcium.wavelength + 0.004, np.full(len(calcium.share), 0.054))
    blended = replace(data, counts=data.counts + 1500.0 * lines * data.area_exposure / 1e7)
    assert fit_triplet(blended, others).f_over_i == pytest.approx(F_OVER_I, rel=0.01)
    assert fit_triplet(blended, []).f_over_i > 1.05 * F_OVER_I
    assert sum(template.share.sum() for template in others) == pytest.approx(len(others))


def test_the_errors_cover_the_truth_in_68_percent_of_poisson_draws():
    random = np.random.default_rng(7)
    data = expected(counts=300.0)
    fits = [fit_triplet(replace(data, counts=random.poisson(data.counts).astype(float)), []) for _ in range(200)]
    covered = np.mean([fit.interval[0] <= F_OVER_I <= fit.interval[1] for fit in fits])
    # Three binomial standard deviations.
    assert covered == pytest.approx(0.683, abs=0.10)
    assert np.median([fit.f_over_i for fit in fits]) == pytest.approx(F_OVER_I, rel=0.03)
    scatter = np.std([fit.f_over_i for fit in fits])
    assert np.median([fit.error for fit in fits]) == pytest.approx(scatter, rel=0.2)


def test_without_counts_it_is_one_sentence():
    data = expected()
    with pytest.raises(ValueError, match=r"no counts in the window"):
        fit_triplet(replace(data, counts=np.zeros(72)), [])


def test_exposures_and_orders_are_added_up_with_their_areas_and_the_scaled_background():
    cube = read_capella_cube()
    both = coadded(cube)
    orders = [coadded(cube, (channel.name,)) for channel in cube.channels]
    for name in ("counts", "area_exposure", "background"):
        np.testing.assert_allclose(getattr(both, name), sum(getattr(order, name) for order in orders))
    window = (cube.channels[0].wavelength > 21.40) & (cube.channels[0].wavelength < 22.36)
    regions = sum(channel.background[:, window].sum() for channel in cube.channels)
    assert both.background.sum() == pytest.approx(regions / 10.0, rel=1e-5)
    with pytest.raises(ValueError, match="no background region"):
        coadded(replace(cube, channels=(replace(cube.channels[0], background=None),)))


def test_f_over_i_of_the_table_falls_with_density_and_hardly_moves_with_temperature(table):
    grid = np.linspace(*PRIOR, 81)
    for log_t in (6.2, 6.3, 6.5):
        assert (np.diff(ratio_of(table, log_t, grid)) < 0).all()
    np.testing.assert_allclose(ratio_of(table, 6.2, grid), ratio_of(table, 6.3, grid), rtol=0.1)


@pytest.mark.parametrize("log_n", [9.8, 10.3, 11.0])
def test_a_ratio_becomes_the_density_it_was_made_with(table, log_n):
    truth = float(ratio_of(table, 6.3, log_n))
    found = density_from_ratio(gaussian(truth, 0.05), table)
    assert found.measured
    assert found.median == pytest.approx(log_n, abs=0.02)
    assert found.interval95[0] < found.interval68[0] < found.median < found.interval68[1] < found.interval95[1]


def test_higher_ratios_mean_lower_densities(table):
    medians = [density_from_ratio(gaussian(ratio, 0.1), table).median for ratio in (1.0, 2.0, 3.0, 3.6)]
    assert (np.diff(medians) < 0).all()


def test_a_ratio_at_its_low_density_limit_is_an_upper_limit(table):
    found = density_from_ratio(gaussian(float(ratio_of(table, 6.3, 8.0)), 0.15), table)
    assert not found.measured
    assert "below" in str(found)
    assert 9.0 < found.upper_limit < 9.7


def test_the_tabulated_profile_follows_the_profile():
    found = fit_triplet(expected(), [])
    near = found.f_over_i + found.error * np.array([-1.5, -0.4, 0.0, 0.7, 2.2])
    np.testing.assert_allclose(tabulated(found)(near), [found.profile(float(v)) for v in near], atol=0.05)
    assert tabulated(found)(np.array([0.1]))[0] < -10
