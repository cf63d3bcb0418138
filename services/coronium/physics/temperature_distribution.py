"""Emissivities of plasma with a Gaussian distribution over log T, tabulated before any fit.

A line of the `gaussian-dem` plasma shines as

    G(c, w, n) = integral G(t, n) exp(-(t - c)^2 / 2 w^2) / (w sqrt(2 pi)) dt,        t = log T,

which is as smooth in centre c and width w as in density. It is integrated once, on nodes, so that a fit only
interpolates. Quadrature inside a fit would need nodes much closer than a line's own range of temperatures: coarser
ones make false modes. Plasma outside the emissivity table's temperatures emits nothing: of a wide, cool distribution
the lines formed near log T 5.5 (O V 192.8 A) lose what lies below.
"""

from __future__ import annotations

import numpy as np

from coronium.physics.atomic.interpolation import cubic_weights
from coronium.physics.layout import Bank
from coronium.physics.parameters import Priors
from coronium.physics.spectrum import FloatArray

WIDTH_NODES = 14
"""Uniform in the root of the width: of the powers tried the one that errs least, 0.4 % at most (8 % for eight nodes
uniform in the width), where the light of a line passes from the distribution's centre to its wing."""
REFINEMENT = 4
"""Quadrature points per node of the emissivity table: a third of the narrowest width at most."""
ROWS_AT_ONCE = 2048
SMALLEST = 1e-30


def cubic_matrix(nodes: FloatArray, points: FloatArray) -> FloatArray:
    """Weights (P, N) that take values at uniform nodes to points, as `interpolation.cubic_weights` has them."""
    matrix = np.zeros((len(points), len(nodes)))
    for row, point in zip(matrix, points, strict=True):
        first, weights = cubic_weights(nodes, point)
        row[int(first) : int(first) + 4] = np.asarray(weights)
    return matrix


def distributed(bank: Bank, priors: Priors) -> Bank:
    """The bank of an isothermal plasma with its emissivities integrated over log T.

    Centres and densities are the table's nodes that the prior reaches, with one to spare on each side.

    Parameters
    ----------
    bank : Bank
        Tables (nT, nN, rows) and (nT, rows).
    priors : Priors

    Returns
    -------
    Bank
        Tables (nC, nW, nN', rows) and (nC, nW, rows), `root_dem_width` (nW,).
    """
    log_t, log_n = (np.asarray(x, float) for x in (bank.log_temperature, bank.log_density))
    centres, densities = _reached(log_t, priors.log_temperature), _reached(log_n, priors.log_density)
    narrowest, widest = priors.dem_width
    roots = np.linspace(narrowest**0.5, widest**0.5, WIDTH_NODES)
    widths = roots**2
    fine = np.linspace(log_t[0], log_t[-1], REFINEMENT * (len(log_t) - 1) + 1)
    between = cubic_matrix(log_t, fine)
    x = (fine - log_t[centres][:, None, None]) / widths[:, None]
    share = np.exp(-0.5 * x**2) * (fine[1] - fine[0]) / (widths[:, None] * np.sqrt(2.0 * np.pi))
    share[..., [0, -1]] *= 0.5

    def integrated(table: np.ndarray) -> np.ndarray:
        flat = np.asarray(table).reshape(len(log_t), -1)
        out = np.empty((len(centres), len(widths), flat.shape[1]), np.float32)
        for first in range(0, flat.shape[1], ROWS_AT_ONCE):
            some = between @ flat[:, first : first + ROWS_AT_ONCE].astype(float)
            # Relative to each row's largest value, so that nothing underflows.
            top = some.max(axis=0)
            summed = share.reshape(-1, len(fine)) @ np.exp(some - top)
            log_sum = np.log(np.maximum(summed, SMALLEST)) + top
            out[..., first : first + ROWS_AT_ONCE] = log_sum.reshape(*out.shape[:2], -1)
        return out.reshape(*out.shape[:2], *np.shape(table)[1:])

    return bank._replace(
        log_temperature=log_t[centres].astype(np.float32),
        log_density=log_n[densities].astype(np.float32),
        root_dem_width=roots.astype(np.float32),
        line_log_emissivity=integrated(np.asarray(bank.line_log_emissivity)[:, densities]),
        pseudo_log_emissivity=integrated(np.asarray(bank.pseudo_log_emissivity)[:, densities]),
        continuum_log_emissivity=integrated(bank.continuum_log_emissivity),
    )


def _reached(nodes: FloatArray, bounds: tuple[float, float]) -> np.ndarray:
    step = nodes[1] - nodes[0]
    return np.flatnonzero((nodes > bounds[0] - 1.5 * step) & (nodes < bounds[1] + 1.5 * step))
