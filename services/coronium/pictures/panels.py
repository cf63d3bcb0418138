"""Data and prediction of a result on common bins, in the pieces in which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from coronium.physics.spectrum import Channel, FloatArray, Spectrum, Statistic

if TYPE_CHECKING:
    from coronium.client.result import PredictiveBand, Result

POINTS_PER_ROW = 110
MOST_ROWS = 3
"""Rows into which one wavelength range is divided at most."""
MOST_UNEQUAL = 0.12
"""Share of a row by which its end may be moved to where the spectrum is faint."""
NEAR = 4
"""Bins on either side of a cut that should be faint."""


@dataclass(frozen=True)
class Panel:
    """One wavelength range of one grid; channels that share the grid are added up.

    Attributes
    ----------
    name : str
        Of the channels.
    statistic : Statistic
    edges : (N + 1,) Angstrom
    width : (N,) Angstrom
        What of a bin may be used, mean of the exposures; NaN where nothing may.
    data : (N,)
        Exposures added up, per bin; NaN where masked.
    model, lower, upper : (N,)
        Posterior mean and 68 % band of what would be observed, per bin; NaN where masked.
    sigma : (N,)
        Standard deviation of a bin about the model: sqrt(model + read variance), of counts.
    """

    name: str
    statistic: Statistic
    edges: FloatArray
    width: FloatArray
    data: FloatArray
    model: FloatArray
    lower: FloatArray
    upper: FloatArray
    sigma: FloatArray

    @property
    def wavelength(self) -> FloatArray:
        """Centres of the bins, (N,) Angstrom."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def residual(self) -> FloatArray:
        """(data - model) / sigma, (N,)."""
        return (self.data - self.model) / self.sigma

    @property
    def covered(self) -> bool:
        """Whether any bin may be used."""
        return bool(np.isfinite(self.data).any())


def panels(result: Result, observation: Spectrum | None) -> list[Panel]:
    """Return the pieces of a spectrum, by wavelength.

    Raises
    ------
    ValueError
        Without observation or predictive band, or when the two do not belong together.
    """
    if observation is None:
        raise ValueError("A picture needs the data: get the result with its observation (with_observation=True).")
    if not result.predictive:
        raise ValueError(f"Result {result.id} carries no predictive band: get it by its id, lists leave the band out.")
    grids: dict[bytes, list[Panel]] = {}
    for channel in observation.channels:
        if channel.name not in result.predictive:
            raise ValueError(f"Result {result.id} predicts no channel {channel.name!r}: it is of another observation.")
        panel = _panel(channel, result.predictive[channel.name])
        grids.setdefault(panel.edges.tobytes(), []).append(panel)
    rows = [row for same in grids.values() for row in _rows(_added(same))]
    return sorted(rows, key=lambda panel: panel.edges[0])


def _panel(channel: Channel, band: PredictiveBand) -> Panel:
    starts = np.arange(0, channel.bins, band.rebinned)
    if len(starts) != len(band.median):
        raise ValueError(
            f"Channel {channel.name!r} has {channel.bins} bins, its band {len(band.median)} of {band.rebinned} each."
        )

    def rebinned(values: FloatArray) -> FloatArray:
        return np.add.reduceat(np.where(channel.mask, values, 0.0).sum(axis=0, dtype=float), starts)

    model = band.median.astype(float)
    noise = np.zeros(len(starts)) if channel.read_variance is None else rebinned(channel.read_variance)
    counted = 0.0 if channel.statistic is Statistic.FLUX else np.maximum(model, 0.0)
    width = np.add.reduceat(channel.mask.mean(axis=0) * np.diff(channel.wavelength_edges), starts)
    gap = np.where(width > 0, 0.0, np.nan)
    return Panel(
        name=channel.name,
        statistic=channel.statistic,
        edges=np.append(channel.wavelength_edges[starts], channel.wavelength_edges[-1]),
        width=width + gap,
        data=rebinned(channel.counts) + gap,
        model=model + gap,
        lower=band.lower + gap,
        upper=band.upper + gap,
        sigma=np.sqrt(np.maximum(counted + noise, 1e-12)) + gap,
    )


def _added(same: list[Panel]) -> Panel:
    """Add channels on one grid; half widths of their bands add in quadrature, since shot noise makes most of them."""
    first = same[0]
    if len(same) == 1:
        return first
    model = _sum([p.model for p in same])
    return Panel(
        name=" + ".join(p.name for p in same),
        statistic=first.statistic,
        edges=first.edges,
        width=np.fmax.reduce([p.width for p in same]),
        data=_sum([p.data for p in same]),
        model=model,
        lower=model - np.sqrt(_sum([(p.model - p.lower) ** 2 for p in same])),
        upper=model + np.sqrt(_sum([(p.upper - p.model) ** 2 for p in same])),
        sigma=np.sqrt(_sum([p.sigma**2 for p in same])),
    )


def _sum(parts: list[FloatArray]) -> FloatArray:
    """Sum that leaves out NaN, and is NaN where all are."""
    stacked = np.array(parts)
    return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))


def _rows(panel: Panel) -> list[Panel]:
    """Divide a long panel into rows of nearly the same range, between lines rather than within one."""
    count = int(np.clip(-(-len(panel.data) // POINTS_PER_ROW), 1, MOST_ROWS))
    limits = np.linspace(panel.edges[0], panel.edges[-1], count + 1)
    cuts = [0, *(_quiet_edge(panel, limit, (limits[1] - limits[0]) * MOST_UNEQUAL) for limit in limits[1:-1])]
    cuts.append(len(panel.data))
    return [
        Panel(
            name=panel.name,
            statistic=panel.statistic,
            edges=panel.edges[low : high + 1],
            width=panel.width[low:high],
            data=panel.data[low:high],
            model=panel.model[low:high],
            lower=panel.lower[low:high],
            upper=panel.upper[low:high],
            sigma=panel.sigma[low:high],
        )
        for low, high in pairwise(cuts)
    ]


def _quiet_edge(panel: Panel, limit: float, reach: float) -> int:
    """Index of the edge within `reach` of `limit` around which the model is faintest."""
    density = np.nan_to_num(panel.model / panel.width)
    candidates = np.flatnonzero(np.abs(panel.edges - limit) <= reach)
    brightest = [density[max(i - NEAR, 0) : i + NEAR].max() for i in candidates]
    return int(candidates[np.argmin(brightest)])
