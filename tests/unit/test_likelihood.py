"""The likelihood against distributions that scipy knows."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multinomial, multivariate_normal, nbinom, poisson

from coronium.inference.likelihood import pointwise, saturated
from coronium.physics.observation_model import Data
from coronium.physics.spectrum import Statistic


def data(counts: np.ndarray, read: float = 0.0) -> Data:
    """An observation (E, K, B) without masks and without a background region."""
    ones = np.ones_like(counts, np.float32)
    exposures = len(counts)
    return Data(
        counts=counts.astype(np.float32),
        area=ones,
        good=ones,
        read_variance=read * ones,
        background=0 * ones,
        background_scale=np.zeros(exposures, np.float32),
        background_exposure=np.ones(exposures, np.float32),
        offset=np.zeros(1, np.float32),
    )


@pytest.mark.parametrize("level", [0.3, 5.0, 400.0, 1e5])
def test_without_an_error_of_the_model_counts_are_poisson(level):
    rng = np.random.default_rng(1)
    source = (level * rng.uniform(0.5, 1.5, (1, 2, 50))).astype(np.float32)
    observed = data(rng.poisson(source))
    on, _ = pointwise(Statistic.POISSON, observed, source, np.zeros_like(source))
    wanted = poisson.logpmf(observed.counts, source).sum()
    assert float(jnp.sum(on)) + saturated(Statistic.POISSON, observed) == pytest.approx(wanted, rel=1e-4, abs=0.05)


@pytest.mark.parametrize("error", [0.02, 0.1, 0.5])
def test_with_an_error_counts_are_negative_binomial_and_split_multinomially(error):
    rng = np.random.default_rng(2)
    expected = rng.uniform(2.0, 300.0, (3, 1, 40)).astype(np.float32)
    gain = rng.gamma(error**-2, error**2, (1, 40))
    observed = data(rng.poisson(expected * gain))
    on, _ = pointwise(Statistic.POISSON, observed, expected, np.zeros_like(expected), error * expected)
    total, mean = observed.counts.sum(0), expected.sum(0, dtype=float)
    shape = error**-2
    wanted = nbinom.logpmf(total, shape, shape / (shape + mean)).sum()
    share = (expected / expected.sum(0))[:, 0].T.astype(float)
    wanted += multinomial.logpmf(
        observed.counts[:, 0].T.astype(int), total[0].astype(int), share / share.sum(1, keepdims=True)
    ).sum()
    assert float(jnp.sum(on)) + saturated(Statistic.POISSON, observed) == pytest.approx(wanted, abs=0.05)


def test_with_an_error_gaussian_data_share_it_over_the_exposures():
    rng = np.random.default_rng(3)
    expected = rng.uniform(50.0, 500.0, (3, 1, 20)).astype(np.float32)
    observed = data(expected + rng.normal(0, 30, expected.shape), read=25.0)
    on, _ = pointwise(Statistic.COUNTS_WITH_READ_NOISE, observed, expected, np.zeros_like(expected), 0.2 * expected)
    wanted = 0.0
    for b in range(20):
        mean = expected[:, 0, b].astype(float)
        covariance = np.diag(mean + 25.0) + 0.04 * np.outer(mean, mean)
        wanted += multivariate_normal.logpdf(observed.counts[:, 0, b], mean, covariance)
    assert float(jnp.sum(on)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("statistic", list(Statistic))
def test_a_masked_bin_says_nothing(statistic):
    rng = np.random.default_rng(4)
    expected = rng.uniform(5.0, 50.0, (2, 1, 10)).astype(np.float32)
    observed = data(rng.poisson(expected), read=4.0)
    good = np.ones_like(expected)
    good[0, 0, 3] = 0.0
    good[:, 0, 7] = 0.0
    wild = observed.counts.copy()
    wild[good == 0] = 1e4
    background = np.zeros_like(expected)
    tame, _ = pointwise(statistic, observed._replace(good=good), expected, background, 0.1 * expected)
    other, _ = pointwise(
        statistic, observed._replace(good=good, counts=wild), expected * (2 - good), background, 0.1 * expected
    )
    assert float(tame[0, 7]) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(tame, other, rtol=1e-6)
