"""The pieces of the inference, each against a case with a known answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import genpareto, multivariate_t

from coronium.inference.evidence import fit_generalised_pareto, log_evidence, log_student, masses, smooth
from coronium.inference.linear_algebra import cholesky, inverse_lower, solve_lower
from coronium.inference.metric import improved
from coronium.inference.mode_choice import choose_modes, strayed, thinned, weighted_draws
from coronium.inference.modes import Mode, secant
from coronium.inference.starts import separated_peaks
from coronium.inference.summaries import Constraint, summarise


def _positive_definite(size: int) -> np.ndarray:
    root = np.random.default_rng(0).standard_normal((size, size))
    return root @ root.T + size * np.eye(size)


def test_the_decomposition_is_lapacks():
    matrix = _positive_definite(12)
    lower = jax.jit(cholesky)(jnp.asarray(matrix))
    right = jnp.asarray(np.random.default_rng(1).standard_normal((12, 3)))
    np.testing.assert_allclose(lower, np.linalg.cholesky(matrix), atol=1e-10)
    np.testing.assert_allclose(inverse_lower(lower) @ lower, np.eye(12), atol=1e-10)
    np.testing.assert_allclose(lower @ solve_lower(lower, right), right, atol=1e-10)


def test_a_matrix_that_is_not_positive_definite_is_not_decomposed():
    assert np.isnan(np.asarray(cholesky(jnp.asarray([[1.0, 2.0], [2.0, 1.0]])))).any()


def test_the_students_density_is_scipys():
    scale, mean, point = _positive_definite(4), np.arange(4.0), np.array([0.3, 2.0, -1.0, 4.0])
    inverse = np.linalg.inv(np.linalg.cholesky(scale))
    got = log_student(jnp.asarray(point), jnp.asarray(mean), jnp.asarray(inverse), 9.0)
    assert float(got) == pytest.approx(multivariate_t(mean, scale, df=9.0).logpdf(point), rel=1e-6)


@pytest.mark.parametrize("shape", [0.2, 0.6])
def test_the_pareto_shape_of_a_sample_is_found(shape):
    sample = genpareto(shape, scale=2.0).rvs(4000, random_state=3)
    assert fit_generalised_pareto(sample)[0] == pytest.approx(shape, abs=0.06)


def test_the_evidence_of_a_gaussian_is_its_normalisation():
    rng = np.random.default_rng(4)
    wide = rng.normal(scale=1.3, size=20_000)
    log_weight = -0.5 * wide**2 - (-0.5 * (wide / 1.3) ** 2 - np.log(1.3 * np.sqrt(2 * np.pi)))
    value, error, k_hat = log_evidence(log_weight)
    assert value == pytest.approx(0.5 * np.log(2 * np.pi), abs=5 * error)
    assert k_hat < 0.5


def test_a_proposal_with_thin_tails_is_found_out():
    narrow = np.random.default_rng(5).normal(scale=0.4, size=4000)
    log_weight = -0.5 * narrow**2 + 0.5 * (narrow / 0.4) ** 2
    assert smooth(log_weight)[1] > 0.7


def test_a_search_starts_at_every_peak_over_temperature_then_far_from_them():
    log_t, log_n = np.linspace(6, 7, 21), np.linspace(8, 12, 9)
    height = np.full((21, 9), -100.0)
    height[6, 2], height[15, 4] = 0.0, -5.0
    t, n = separated_peaks(height, log_t, log_n, 4)
    np.testing.assert_allclose(t[:2], [6.3, 6.75])
    np.testing.assert_allclose(n[:2], [9.0, 10.0])
    assert np.abs(t[2:, None] - t[None, :2]).min() > 0.2
    assert len(set(t)) == 4


def test_a_search_starts_somewhere_even_where_nothing_is_known():
    t, n = separated_peaks(np.full((21, 9), np.nan), np.linspace(6, 7, 21), np.linspace(8, 12, 9), 3)
    assert np.isfinite(t).all()
    assert np.isfinite(n).all()


def _modes(positions: list[list[float]], log_evidence: list[float]) -> Mode:
    z = np.array([positions])
    count, size = z.shape[1:]
    eye = np.broadcast_to(np.eye(size), (1, count, size, size))
    return Mode(z, eye, np.array([log_evidence]))


def test_climbs_that_end_on_one_mode_are_one_mode():
    chosen = choose_modes(_modes([[0.0, 0.0], [0.1, 0.0], [4.0, 0.0], [9.0, 0.0]], [-1.0, -1.01, -2.0, -50.0]), 0)
    assert chosen.index == [0, 2]
    assert chosen.share[:2] == pytest.approx(np.array([1.0, np.exp(-1.0)]) / (1.0 + np.exp(-1.0)))
    assert chosen.share[2] == 0.0
    assert chosen.proposal.sum() == pytest.approx(1.0)
    assert chosen.proposal[1] > chosen.share[1]


def test_a_smaller_mode_has_its_share_of_the_draws():
    z = np.array([[[0.0]] * 500, [[1.0]] * 500, [[0.0]] * 500, [[1.0]] * 500])
    merged = weighted_draws(z, np.array([0, 1, 0, 1]), np.array([0.8, 0.2, 0.0]), 1, 2000)
    assert merged.mean() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("count", [48, 200, 256, 1000])
def test_thinned_draws_come_from_all_chains(count):
    labels = np.repeat(np.arange(4.0), 100).reshape(4, 100, 1)
    merged = weighted_draws(labels, np.zeros(4, int), np.array([1.0, 0.0, 0.0]), 1, 400)
    found = np.bincount(thinned(merged, count)[:, 0].astype(int), minlength=4)
    assert found.max() - found.min() <= 1


def test_a_chain_that_leaves_its_mode_is_noticed():
    rng = np.random.default_rng(13)
    means, choleskys = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 0.0]]), np.array([np.eye(2)] * 3)
    owner = np.array([0, 1, 0, 1])
    z = rng.standard_normal((4, 100, 2)) + means[owner][:, None]
    assert strayed(z, owner, means, choleskys) == 0.0
    z[1, 60:] -= means[1]
    assert strayed(z, owner, means, choleskys) == pytest.approx(0.4)
    assert strayed(z, np.zeros(4, int), means, choleskys) == 0.0


def test_every_mode_that_is_followed_has_a_chain():
    modes = _modes([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [0.0, -1.0, -2.0])
    assert choose_modes(modes, 0, most=2).index == [0, 1]
    assert choose_modes(modes, 0).index == [0, 1, 2]


def test_a_limit_on_a_log_uniform_quantity_is_one_in_its_logarithm():
    prior = np.exp(np.random.default_rng(11).uniform(np.log(0.03), np.log(0.3), 20_000))
    lowest = prior[prior < 0.0336]
    assert np.mean(prior < 0.0336) == pytest.approx(0.05, abs=0.005)
    middle = np.random.default_rng(12).normal(0.06, 0.004, 4000)
    mixed = np.concatenate([middle, lowest[:60]])
    summary = summarise("dem_width", "dex", mixed, 0.08, (0.03, 0.3), log_uniform=True)
    assert summary.constraint is Constraint.MEASURED
    mixed = np.concatenate([middle, lowest[:400]])
    assert summarise("dem_width", "dex", mixed, 0.08, (0.03, 0.3), True).constraint is Constraint.UPPER_LIMIT


def test_the_mass_of_a_mode_is_not_laplaces_but_what_sampling_finds():
    rng = np.random.default_rng(8)
    membership = np.zeros((2000, 3))
    first = rng.random(2000) < 0.5
    membership[first, 0] = membership[~first, 1] = 1.0
    # The second mode is three times the first, whatever the proposal was.
    log_weights = np.where(first, 0.0, np.log(3.0)) + rng.normal(0, 0.3, 2000)
    assert masses(log_weights, membership, np.array([1.0, 0.0, 0.0]))[1] == pytest.approx(0.75, abs=0.03)


def test_a_metric_learns_a_wide_direction_and_ignores_noise():
    rng = np.random.default_rng(9)
    size = 40
    truth = np.ones(size)
    truth[3] = 5.0
    draws = rng.standard_normal((400, size)) * truth + 0.5
    mean, factor = improved(np.zeros(size), np.eye(size), draws)
    sd = np.sqrt(np.diag(factor @ factor.T))
    assert sd[3] == pytest.approx(5.0, rel=0.15)
    np.testing.assert_allclose(np.delete(sd, 3), 1.0, atol=0.1)
    np.testing.assert_allclose(mean, 0.5, atol=0.8)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0])
def test_a_metric_is_one_even_from_a_chain_that_hardly_moved(scale):
    draws = scale * np.random.default_rng(10).standard_normal((20, 40))
    mean, factor = improved(np.zeros(40), np.eye(40), draws)
    assert np.isfinite(mean).all()
    assert np.linalg.eigvalsh(factor @ factor.T).min() > 0.4


@pytest.mark.parametrize(
    ("draws", "constraint"),
    [
        (lambda r: r.normal(10.0, 0.2, 4000), Constraint.MEASURED),
        (lambda r: 8.0 + np.abs(r.normal(0.0, 0.4, 4000)), Constraint.UPPER_LIMIT),
        (lambda r: 12.0 - np.abs(r.normal(0.0, 0.4, 4000)), Constraint.LOWER_LIMIT),
        (lambda r: r.uniform(8.0, 12.0, 4000), Constraint.UNCONSTRAINED),
    ],
)
def test_a_posterior_is_quoted_as_what_it_is(draws, constraint):
    summary = summarise("log_density", "dex", draws(np.random.default_rng(6)), 4.0 / np.sqrt(12.0), (8.0, 12.0))
    assert summary.constraint is constraint
    assert np.isfinite(summary.limit95) == constraint.endswith("limit")


def test_a_secant_update_is_bfgs_and_stays_positive_definite_where_curvature_is_negative():
    rng = np.random.default_rng(21)
    metric = _positive_definite(6)
    step = rng.standard_normal(6)
    change = metric @ step + 0.3 * rng.standard_normal(6)
    pushed = metric @ step
    wanted = metric - np.outer(pushed, pushed) / (step @ pushed) + np.outer(change, change) / (step @ change)
    found = np.asarray(secant(*map(jnp.asarray, (np.linalg.inv(metric), step, pushed, change))))
    np.testing.assert_allclose(np.linalg.inv(found), wanted, rtol=1e-8, atol=1e-8)
    # Powell's damping: a step along which the density curves the other way.
    bent = np.asarray(secant(*map(jnp.asarray, (np.linalg.inv(metric), step, pushed, -change))))
    assert np.linalg.eigvalsh(bent).min() > 0
    still = np.asarray(secant(*map(jnp.asarray, (np.linalg.inv(metric), 0 * step, 0 * pushed, 0 * change))))
    np.testing.assert_allclose(still, np.linalg.inv(metric))


def test_a_spectrum_whose_climbs_all_failed_still_has_shares():
    nothing = np.full((1, 2), np.nan)
    modes = Mode(z=np.zeros((1, 2, 3)), cholesky=np.full((1, 2, 3, 3), np.nan), log_evidence=nothing)
    assert choose_modes(modes, 0).share.tolist() == [1.0, 0.0, 0.0]
