"""The O VII triplet of Capella's coadded LETG spectrum measured by hand: no posterior, no forward model, three lines.

Resonance, intercombination and forbidden line share a shift and a width; weaker lines in the window, known from the
table, have free fluxes; the rest is a continuum of constant photon flux per Angstrom (a slope would let it pass for
the blends) and the scaled background. What is maximised is the Poisson likelihood (Cash 1979, ApJ 228, 939); the error
of f/i is where its profile has fallen by 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.special import xlogy

from coronium.evaluation.o7_data import TRIPLET, Template, TripletData
from coronium.physics.spectrum import FloatArray

HALF_WIDTH = (2.0 ** (1.0 / 2.5) - 1.0) ** 0.5
"""Half width at half maximum of (1 + u^2)^(-5/2)."""


@dataclass(frozen=True)
class Triplet:
    """What the fit gave.

    Attributes
    ----------
    flux : (3,) photons cm-2 s-1 of r, i, f
    line_counts : (3,) counts of r, i, f
    f_over_i, error : float
        Ratio of photon fluxes, and half its 68 % profile-likelihood interval.
    interval : (low, high), 68 %
    shift, fwhm : Angstrom
        Of the forbidden line where each line has its own.
    blends : dict of str to float, counts of the other lines
    model, continuum : (N,) counts
    deviance, degrees_of_freedom : float, int
    profile : callable
        f/i -> ln likelihood minus its maximum.
    """

    flux: tuple[float, float, float]
    line_counts: tuple[float, float, float]
    f_over_i: float
    error: float
    interval: tuple[float, float]
    shift: float
    fwhm: float
    blends: dict[str, float]
    model: FloatArray
    continuum: FloatArray
    deviance: float
    degrees_of_freedom: int
    profile: Callable[[float], float] = field(repr=False)


def beta_profile(edges: FloatArray, centre: FloatArray, fwhm: FloatArray) -> FloatArray:
    """Share of L lines' photons in each bin: (1 + u^2)^(-5/2), LETG's line-spread function, integrated.

    Parameters
    ----------
    edges : (N + 1,) Angstrom
    centre, fwhm : (L,) Angstrom

    Returns
    -------
    (L, N) array
    """
    u = (edges - centre[:, None]) * (2.0 * HALF_WIDTH / fwhm[:, None])
    sine = u / np.sqrt(1.0 + u**2)
    return np.diff(0.75 * sine - 0.25 * sine**3, axis=-1)


def fit_triplet(
    data: TripletData,
    others: list[Template],
    own_shapes: bool = False,
    left_out: tuple[tuple[float, float], ...] = (),
    sloped: bool = False,
) -> Triplet:
    """Fit the triplet.

    Parameters
    ----------
    data : TripletData
    others : list of Template
        Each with a free flux, not negative.
    own_shapes : bool
        Whether r, i and f each have a shift and width of their own: a check of the common line-spread function.
    left_out : tuple of (low, high), Angstrom
        Bins that take no part.
    sloped : bool
        Whether the continuum may have a slope.

    Raises
    ------
    ValueError
        No counts in the window.
    """
    if not data.counts.sum() > 0:
        raise ValueError("There are no counts in the window of the O VII triplet.")
    width = np.diff(data.edges)
    x = 2.0 * (data.wavelength - data.wavelength.mean()) / np.ptp(data.edges)
    used = ~np.any([(data.wavelength > low) & (data.wavelength < high) for low, high in ((0, 0), *left_out)], axis=0)
    shapes = 3 if own_shapes else 1
    typical = data.area_exposure.mean()
    exposure = data.area_exposure / typical

    wavelength, member = _components(others)
    shape_of = np.minimum(np.arange(len(wavelength)), shapes - 1)

    def parts(p: FloatArray) -> FloatArray:
        """Expected counts of r, i, f, the others and the continuum, one row each."""
        shift, fwhm = p[3 : 3 + 2 * shapes].reshape(2, shapes)[:, shape_of]
        level, slope, *fluxes = p[3 + 2 * shapes :]
        amplitude = np.array([p[0], p[1], p[2] * p[1], *fluxes])
        lines = amplitude[:, None] * (member @ beta_profile(data.edges, wavelength + shift, fwhm))
        return np.vstack([lines, level * (1.0 + slope * x) * width]) * exposure

    def residuals(p: FloatArray) -> FloatArray:
        # Half the sum of their squares is -ln likelihood, up to a constant.
        mean = np.maximum(parts(p).sum(axis=0) + data.background, 1e-9)
        n = data.counts
        deviance = 2.0 * (mean - n + xlogy(n, n) - xlogy(n, mean))
        return used * np.sign(n - mean) * np.sqrt(np.maximum(deviance, 0.0))

    level = max(float(np.percentile((data.counts - data.background) / exposure, 20)), 0.1)
    net = np.maximum((data.counts - data.background) / exposure - level, 0.0)
    near = [max(net[np.abs(data.wavelength - w) < 0.06].sum(), 5.0) for w in TRIPLET]
    # A continuum without slope has one that cannot move.
    steepest = 1.0 if sloped else 1e-6
    start = np.array([near[0], near[1], near[2] / near[1], *[0.0] * shapes, *[0.052] * shapes])
    start = np.array([*start, level / width.mean(), 0.0, *[0.01 * near[0]] * len(others)])
    low = np.array([0.0, 1e-3, 0.0, *[-0.02] * shapes, *[0.03] * shapes, 0.0, -steepest, *[0.0] * len(others)])
    high = np.array(
        [np.inf, np.inf, 1e3, *[0.02] * shapes, *[0.09] * shapes, np.inf, steepest, *[np.inf] * len(others)]
    )
    scale = np.maximum(np.abs(start), 0.01)

    def maximise(p: FloatArray, ratio: float | None = None) -> tuple[float, FloatArray]:
        free = np.ones(len(p), bool)
        free[2] = ratio is None
        full = p.copy()
        if ratio is not None:
            full[2] = ratio

        def of(q: FloatArray) -> FloatArray:
            full[free] = q
            return residuals(full)

        begin = np.clip(full[free], low[free] + 1e-9, high[free] - 1e-9)
        found = least_squares(of, begin, bounds=(low[free], high[free]), x_scale=scale[free], xtol=1e-10, ftol=1e-10)
        full[free] = found.x
        return -float(found.cost), full

    best, p = maximise(start)

    def profile(ratio: float) -> float:
        return min(maximise(p, ratio)[0] - best, 0.0)

    ratio = float(p[2])
    interval = _crossing(profile, ratio, down=True), _crossing(profile, ratio, down=False)
    rows = parts(p)
    fluxes = np.array([p[0], p[1], p[2] * p[1]]) / typical
    shift, fwhm = p[3 : 3 + 2 * shapes].reshape(2, shapes)[:, -1]
    return Triplet(
        flux=tuple(map(float, fluxes)),  # type: ignore[arg-type]
        line_counts=tuple(float(row.sum()) for row in rows[:3]),  # type: ignore[arg-type]
        f_over_i=ratio,
        error=0.5 * (interval[1] - interval[0]),
        interval=interval,
        shift=float(shift),
        fwhm=float(fwhm),
        blends={t.label: float(row.sum()) for t, row in zip(others, rows[3:-1], strict=True)},
        model=rows.sum(axis=0) + data.background,
        continuum=rows[-1] + data.background,
        deviance=-2.0 * best,
        degrees_of_freedom=int(used.sum()) - len(p) + (not sloped),
        profile=profile,
    )


def _components(others: list[Template]) -> tuple[FloatArray, FloatArray]:
    """Lines of the triplet, then all others, (L,) Angstrom; and the share each has of a component's flux, (C, L)."""
    wavelength = np.concatenate([TRIPLET, *(template.wavelength for template in others)])
    member = np.zeros((3 + len(others), len(wavelength)))
    member[:3, :3] = np.eye(3)
    first = 3
    for row, template in enumerate(others, start=3):
        member[row, first : first + len(template.share)] = template.share
        first += len(template.share)
    return wavelength, member


def _crossing(profile: Callable[[float], float], best: float, down: bool) -> float:
    """Where the profile has fallen by 1/2 on one side."""
    step = 0.1 * best
    while profile(max(best - step, 0.0) if down else best + step) > -0.5:
        if down and step >= best:
            return 0.0
        step *= 2.0
    end = max(best - step, 0.0) if down else best + step
    return float(brentq(lambda ratio: profile(ratio) + 0.5, min(best, end), max(best, end), xtol=1e-4 * best))
