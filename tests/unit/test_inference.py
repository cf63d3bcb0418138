"""The pieces of the inference, each against a case with a known answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import genpareto, multivariate_t

from coronium.inference.evidence import fit_generalised_pareto, log_evidence, log_student, smooth
from coronium.inference.linear_algebra import cholesky, inverse_lower, solve_lower, solve_lower_transposed
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
    np.testing.assert_allclose(lower.T @ solve_lower_transposed(lower, right), right, atol=1e-10)


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


def test_peaks_are_kept_apart():
    log_t, log_n = np.linspace(6, 7, 21), np.linspace(8, 12, 9)
    height = -((log_t[:, None] - 6.3) ** 2) * 50 - 0 * log_n
    height[15, 4] = -0.5
    t, _ = separated_peaks(height, log_t, log_n, 2)
    assert t[0] == pytest.approx(6.3)
    assert len({round(float(x), 2) for x in t}) >= 1
    t, n = separated_peaks(np.where(height == height.max(), 0.0, -np.inf), log_t, log_n, 3)
    assert len(t) == len(n) == 3


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
