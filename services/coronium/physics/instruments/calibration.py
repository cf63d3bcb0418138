"""How far a published effective area may be from the truth, as a few smooth latent modes."""

from __future__ import annotations

import numpy as np

from coronium.physics.spectrum import FloatArray


def smooth_modes(wavelength: FloatArray, sd: float, length: float, kept: float = 0.99) -> FloatArray:
    """Principal modes of a smooth relative error of an effective area.

    The error of ln(area) is a Gaussian process in ln(wavelength) with a squared-exponential kernel;
    its covariance C = sum_k c_k c_k^T is cut where the kept modes carry the fraction `kept` of its trace.

    Parameters
    ----------
    wavelength : (N,) Angstrom
    sd : float
        Standard deviation of ln(area) at any one wavelength.
    length : float
        Correlation length in ln(wavelength).
    kept : float
        Fraction of the variance that the modes must carry.

    Returns
    -------
    (K, N) float64
    """
    low, high = np.log(wavelength.min()), np.log(wavelength.max())
    nodes = np.linspace(low, high, 60)
    covariance = sd**2 * np.exp(-0.5 * ((nodes[:, None] - nodes) / length) ** 2)
    modes = principal_modes(covariance, kept)
    return np.array([np.interp(np.log(wavelength), nodes, mode) for mode in modes])


def principal_modes(covariance: FloatArray, kept: float) -> FloatArray:
    """Rows c_k of covariance ~ sum_k c_k c_k^T, strongest first, carrying the fraction `kept` of its trace.

    Parameters
    ----------
    covariance : (N, N)
    kept : float

    Returns
    -------
    (K, N)
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    count = int(np.searchsorted(np.cumsum(values) / values.sum(), kept)) + 1
    modes = (vectors[:, :count] * np.sqrt(values[:count])).T
    # The sign of an eigenvector is arbitrary; fixed, so that two builds agree on what z_k > 0 means.
    return modes * np.where(modes.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
