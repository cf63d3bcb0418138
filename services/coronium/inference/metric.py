"""A Gaussian approximation of a posterior made better by draws of it.

The Fisher information at a mode is the posterior's curvature only where the model fits and nothing is skew. Draws show
where it is not, but there are few draws a dimension: most of what their covariance shows is noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS_PER_INDEPENDENT = 2.0
"""Of a chain in whitened coordinates, roughly."""
LEVEL = (0.5, 2.0)
"""Variances that the directions without a signal may be given."""


def improved(
    mean: NDArray[np.float64], factor: NDArray[np.float64], draws: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and lower factor of the covariance of a better approximation.

    In the coordinates of the old one the draws' covariance is the identity but for a few directions. Its eigenvalues
    that noise alone can give, those below the edge of the Marchenko-Pastur law (1967, Math. USSR Sb. 1, 457), are
    replaced by their mean; the others are believed.

    Parameters
    ----------
    mean, factor : (D,), (D, D)
        z = mean + factor u.
    draws : (S, D)
    """
    u = np.linalg.solve(factor, (draws - mean).T).T
    centre = u.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(u.T, bias=True))
    edge = (1.0 + np.sqrt(DRAWS_PER_INDEPENDENT * u.shape[1] / len(u))) ** 2
    noise = values < edge
    # Few draws, or a chain that hardly moved, must not make a metric that is hardly wide.
    level = float(np.clip(values[noise].mean(), *LEVEL)) if noise.any() else 1.0
    values = np.where(noise, level, values)
    root = factor @ vectors * np.sqrt(values)
    return mean + factor @ centre, np.linalg.cholesky(root @ root.T)
