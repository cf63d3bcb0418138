"""A star through the years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from coronium.evaluation.picture_style import DATA, FAINT, MODEL, instrument_title, picture
from coronium.pictures.line_labels import spread
from coronium.pictures.words import axis_label, in_mathtext, target_title

if TYPE_CHECKING:
    from coronium.client.result import Parameter, Result

ROWS = ("log_temperature", "log_density", "log_emission_measure")
HEIGHT = 5.9
APART = 0.08
"""Least distance of two exposures in the picture, years: half a symbol."""


def capella_history(results: Sequence[Result], path: str | Path) -> None:
    """Draw temperature, density and emission measure of a star against time.

    Every spectrum has its median and 68 % interval, or an arrow at its 95 % limit; what the data do not constrain
    is drawn faintly, as the interval of the posterior alone; a fit with the flag `poorly_fitted` is an open
    symbol. A result of several exposures is drawn as a band, its 68 % interval, over the whole time. The
    intervals hold systematic errors that all spectra share, so they may scatter less than their size.

    Parameters
    ----------
    results : sequence of Result
        Of one star: those of single exposures with `observed_at`, and any number of joint ones.
    path : path
        Where to write; the suffix decides the format.

    Raises
    ------
    ValueError
        Without a dated result of a single exposure, or when the results are of several targets.
    """
    targets = {result.target for result in results}
    if len(targets) > 1:
        raise ValueError(f"A history is of one target; these are {len(targets)}: {', '.join(sorted(targets)[:3])}.")
    joint = [result for result in results if exposures(result) > 1]
    single = [result for result in results if exposures(result) == 1 and result.observed_at is not None]
    if not single:
        raise ValueError("No result of a single dated exposure to draw a history of.")
    single.sort(key=lambda result: decimal_year(result.observed_at))
    years = np.array([decimal_year(result.observed_at) for result in single])
    shown = spread(years, APART, -np.inf, np.inf)
    with picture(path, HEIGHT) as figure:
        rows = figure.subplots(3, 1, sharex=True)
        figure.subplots_adjust(left=0.085, right=0.985, top=1 - 0.72 / HEIGHT, bottom=0.42 / HEIGHT, hspace=0.06)
        for axes, name in zip(rows, ROWS, strict=True):
            _draw_row(axes, name, shown, single, joint)
        margin = max(0.03 * np.ptp(years), 0.2)
        rows[0].set_xlim(shown[0] - margin, shown[-1] + margin)
        moved = np.abs(shown - years).max()
        rows[-1].set_xlabel(
            "Year" + (f" (exposures close in time set apart by up to {moved:.1f} yr)" if moved > 0.05 else "")
        )
        rows[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True))
        figure.align_ylabels(rows)
        count = f"{len(single)} exposures" if len(single) > 1 else "one exposure"
        figure.text(
            0.085,
            1 - 0.08 / HEIGHT,
            f"{target_title(single[0])}, {instrument_title(single[0].instrument)}, {count}",
            fontsize=10,
            va="top",
        )
        if joint:
            values = "   ".join(in_mathtext(joint[-1].parameters[name]) for name in ROWS)
            figure.text(0.085, 1 - 0.29 / HEIGHT, f"all together: {values}", va="top")
        figure.legend(
            handles=_legend(single, joint),
            loc="lower left",
            bbox_to_anchor=(0.085, 1 - 0.72 / HEIGHT),
            borderaxespad=0.3,
            ncols=6,
            columnspacing=1.4,
            handlelength=1.4,
        )


def exposures(result: Result) -> int:
    """Return how many exposures a result is made of."""
    if result.observation is not None and len(result.fingerprints) <= 1:
        return result.observation.exposures
    return max(len(result.fingerprints), len(result.annotations.get("obsid", "").split()), 1)


def decimal_year(when: datetime | None) -> float:
    """Return a time as year and fraction."""
    assert when is not None
    start = datetime(when.year, 1, 1, tzinfo=UTC)
    return when.year + (when - start) / (datetime(when.year + 1, 1, 1, tzinfo=UTC) - start)


def _draw_row(axes: Axes, name: str, years: np.ndarray, single: Sequence[Result], joint: Sequence[Result]) -> None:
    axes.set_ylabel(axis_label(single[0].parameters[name]))
    for result in joint:
        _draw_band(axes, result.parameters[name])
    parameters = [result.parameters[name] for result in single]
    low, high = _span([*parameters, *(result.parameters[name] for result in joint)])
    axes.set_ylim(low, high)
    for year, result, parameter in zip(years, single, parameters, strict=True):
        face = "white" if "poorly_fitted" in result.flags else DATA
        _draw_point(axes, year, parameter, face, 0.11 * (high - low))


def _draw_point(axes: Axes, year: float, parameter: Parameter, face: str, arrow: float) -> None:
    if parameter.limit is not None:
        down = parameter.constraint == "upper_limit"
        axes.annotate(
            "",
            xytext=(year, parameter.limit),
            xy=(year, parameter.limit - arrow if down else parameter.limit + arrow),
            arrowprops={"arrowstyle": "-|>,head_length=0.25,head_width=0.12", "lw": 0.7, "color": DATA, "shrinkA": 0},
        )
        axes.plot(year, parameter.limit, "_", color=DATA, markersize=5, markeredgewidth=0.9)
        return
    known = parameter.constraint != "unconstrained"
    axes.errorbar(
        year,
        parameter.median,
        yerr=[[parameter.median - parameter.lower], [parameter.upper - parameter.median]],
        fmt="o" if known else "none",
        color=DATA,
        markerfacecolor=face,
        ecolor=DATA if known else FAINT,
        elinewidth=0.7 if known else 0.6,
        markersize=3.2,
        markeredgewidth=0.7,
    )


def _draw_band(axes: Axes, parameter: Parameter) -> None:
    if parameter.limit is not None:
        axes.axhline(parameter.limit, color=MODEL, linestyle=(0, (4, 2)), linewidth=0.9)
        return
    if parameter.constraint == "unconstrained":
        return
    axes.axhspan(parameter.lower, parameter.upper, color=MODEL, alpha=0.25, linewidth=0)
    axes.axhline(parameter.median, color=MODEL, linewidth=0.8)


def _span(parameters: Sequence[Parameter]) -> tuple[float, float]:
    """Range that holds all intervals, and limits with room for their arrows."""
    low = min(p.lower if p.limit is None else p.limit for p in parameters)
    high = max(p.upper if p.limit is None else p.limit for p in parameters)
    size = max(high - low, 0.02)
    down = any(p.constraint == "upper_limit" for p in parameters)
    up = any(p.constraint == "lower_limit" for p in parameters)
    return low - (0.25 if down else 0.08) * size, high + (0.25 if up else 0.08) * size


def _legend(single: Sequence[Result], joint: Sequence[Result]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=DATA, marker="o", markersize=3.2, linestyle="none", label="median, 68%")
    ]
    if any("poorly_fitted" in result.flags for result in single):
        handles.append(
            Line2D(
                [],
                [],
                color=DATA,
                marker="o",
                mfc="white",
                mew=0.7,
                markersize=3.2,
                linestyle="none",
                label="poorly fitted",
            )
        )
    constraints = {result.parameters[name].constraint for result in single for name in ROWS}
    if constraints & {"upper_limit", "lower_limit"}:
        handles.append(
            Line2D([], [], color=DATA, marker=r"$\downarrow$", markersize=5, linestyle="none", label="95% limit")
        )
    if "unconstrained" in constraints:
        handles.append(Line2D([], [], color=FAINT, label="unconstrained"))
    if joint:
        handles.append(Patch(color=MODEL, alpha=0.25, linewidth=0, label="all exposures, 68%"))
        if any(result.parameters[name].limit is not None for result in joint for name in ROWS):
            handles.append(Line2D([], [], color=MODEL, linestyle=(0, (4, 2)), label="all exposures, 95% limit"))
    return handles
