"""Evidence by importance sampling from a mixture, with its own check.

The proposal mixes a Student-t around each mode, its centre and shape improved by the chains' draws, with a tenth of
the prior, so that weights stay bounded where a tail is too thin. Pareto-smoothed importance sampling (Vehtari et al.
2024, JMLR 25, 72) says whether the estimate can be believed: k-hat above 0.7 cannot.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln, logsumexp
from numpy.typing import NDArray

from coronium.inference.likelihood import log_likelihood
from coronium.inference.linear_algebra import inverse_lower
from coronium.physics.observation_model import Data, ModelArrays
from coronium.physics.parameters import ParameterSpace, exposure_log_prior, from_standard_normals
from coronium.physics.spectrum import Statistic

PRIOR_SHARE = 0.1
RELIABLE_K_HAT = 0.7
WORTHLESS_K_HAT = 1.0
"""From here on the weights have no mean."""


def degrees_of_freedom(dimension: int) -> float:
    """Heavy enough to cover skewed tails, light enough that its radius fits a Gaussian's in many dimensions."""
    return float(max(5.0, 2.0 * dimension))


def log_student(z: Array, mean: Array, inverse: Array, nu: float) -> Array:
    """Log density of a multivariate Student-t, scalar.

    Parameters
    ----------
    z, mean : (D,)
    inverse : (D, D) inverse of the lower factor of the scale matrix
    nu : degrees of freedom
    """
    d = z.shape[-1]
    u = inverse @ (z - mean)
    log_det = -jnp.sum(jnp.log(jnp.diag(inverse)))
    norm = gammaln(0.5 * (nu + d)) - gammaln(0.5 * nu) - 0.5 * d * jnp.log(nu * jnp.pi)
    return norm - log_det - 0.5 * (nu + d) * jnp.log1p(jnp.sum(u**2) / nu)


def importance_weights(
    space: ParameterSpace,
    statistic: Statistic,
    arrays: ModelArrays,
    data: Data,
    means: Array,
    choleskys: Array,
    shares: Array,
    key: Array,
    draws: int,
) -> tuple[Array, Array]:
    """Draw from the mixture and weigh.

    Returns
    -------
    log_weights : (S,)
        Prior x likelihood over proposal.
    membership : (S, J)
        Probability that a draw belongs to each mode, whatever it was drawn from.

    Parameters
    ----------
    means, choleskys : (J, D), (J, D, D)
    shares : (J,)
        Weights of the modes in the proposal; they sum to one.
    key : PRNG key
    draws : int
        Static.
    """
    d = space.size
    nu = degrees_of_freedom(d)
    keys = jax.random.split(key, 4)
    normal = jax.random.normal(keys[0], (draws, d), jnp.float64)
    chi2 = 2.0 * jax.random.gamma(keys[1], 0.5 * nu, (draws,), jnp.float64)
    which = jax.random.categorical(keys[2], jnp.log(shares), shape=(draws,))
    from_prior = jax.random.uniform(keys[3], (draws,)) < PRIOR_SHARE
    student = means[which] + jnp.einsum("sij,sj->si", choleskys[which], normal) * jnp.sqrt(nu / chi2)[:, None]
    z = jnp.where(from_prior[:, None], from_standard_normals(space, normal), student)

    inverses = jax.vmap(inverse_lower)(choleskys)

    def weigh(point: Array) -> tuple[Array, Array]:
        log_prior = -0.5 * jnp.sum(point**2) - 0.5 * d * jnp.log(2.0 * jnp.pi)
        parts = jax.vmap(lambda m, i: log_student(point, m, i, nu))(means, inverses) + jnp.log(shares)
        together = logsumexp(parts)
        whole = log_prior + exposure_log_prior(space, point)
        proposal = jnp.logaddexp(jnp.log(PRIOR_SHARE) + whole, jnp.log1p(-PRIOR_SHARE) + together)
        value = log_prior + log_likelihood(space, statistic, arrays, data, point) - proposal
        return value, jnp.exp(parts - together)

    log_weights, membership = jax.lax.map(weigh, z, batch_size=64)
    return jnp.nan_to_num(log_weights, nan=-jnp.inf), membership


def masses(
    log_weights: NDArray[np.float64], membership: NDArray[np.float64], fallback: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the posterior that each mode holds, (J,), by importance sampling.

    Parameters
    ----------
    log_weights, membership : (S,), (S, J) as `importance_weights` returns them
    fallback : (J,)
        Laplace's shares, taken where a few draws carry all the weight.
    """
    smoothed, k_hat = smooth(np.asarray(log_weights, float))
    if not k_hat < WORTHLESS_K_HAT:
        return fallback
    weight = np.exp(smoothed - smoothed.max())
    return weight @ membership / weight.sum()


def fit_generalised_pareto(exceedances: NDArray[np.float64]) -> tuple[float, float]:
    """Shape k and scale sigma of a generalised Pareto distribution (Zhang & Stephens 2009, Technometrics 51, 316).

    Parameters
    ----------
    exceedances : (m,) positive, any order
    """
    x = np.sort(exceedances)
    m = len(x)
    grid = 30 + int(m**0.5)
    quartile = x[int(m / 4 + 0.5) - 1]
    theta = 1.0 / x[-1] + (1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3.0 * quartile)
    k = np.log1p(-theta[:, None] * x).mean(axis=1)
    profile = m * (np.log(-theta / k) - k - 1.0)
    weight = 1.0 / np.exp(profile - profile[:, None]).sum(axis=1)
    estimate = float((theta * weight).sum())
    shape = float(np.log1p(-estimate * x).mean())
    sigma = -shape / estimate
    # Shrunk towards 0.5 by ten pseudo-observations, as the PSIS paper prescribes for short tails.
    return (m * shape + 5.0) / (m + 10.0), sigma


def smooth(log_weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Pareto-smoothed log weights (S,) and k-hat.

    The largest fifth (at most 3 sqrt(S)) are replaced by the quantiles of the Pareto fitted to them.
    """
    finite = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    top = finite.max()
    if not np.isfinite(top):
        return finite, float("inf")
    shifted = finite - top
    count = int(min(0.2 * len(shifted), 3.0 * np.sqrt(len(shifted))))
    order = np.argsort(shifted)
    tail, cutoff = order[-count:], shifted[order[-count - 1]]
    exceedances = np.exp(shifted[tail]) - np.exp(cutoff)
    if count < 5 or not np.isfinite(cutoff) or np.any(exceedances <= 0):
        return finite, float("inf")
    k, sigma = fit_generalised_pareto(exceedances)
    if not np.isfinite(k):
        return finite, float("inf")
    p = (np.arange(count) + 0.5) / count
    quantile = sigma * (np.expm1(-k * np.log1p(-p)) / k if abs(k) > 1e-8 else -np.log1p(-p))
    shifted[tail] = np.minimum(np.log(quantile + np.exp(cutoff)), 0.0)
    return shifted + top, k


def log_evidence(log_weights: NDArray[np.float64]) -> tuple[float, float, float]:
    """Estimate of ln evidence, its standard error and k-hat.

    Parameters
    ----------
    log_weights : (S,) as `importance_weights` returns them
    """
    smoothed, k_hat = smooth(np.asarray(log_weights, float))
    top = smoothed.max()
    if not np.isfinite(top):
        return float("-inf"), float("inf"), k_hat
    w = np.exp(smoothed - top)
    return (
        float(top + np.log(w.mean())),
        float(w.std(ddof=1) / w.mean() / np.sqrt(len(w))),
        k_hat,
    )
