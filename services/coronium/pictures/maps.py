"""Maps of a raster: temperature, density and emission measure by place on the Sun."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from coronium.evaluation.picture_style import WIDTH, instrument_title, picture
from coronium.pictures.words import axis_label

if TYPE_CHECKING:
    from coronium.client.result import Parameter, Result

MAPS = {"log_temperature": "inferno", "log_density": "viridis", "log_emission_measure": "cividis"}
MARKED_FLAGS = ("poorly_fitted", "not_converged", "multimodal", "out_of_range", "no_signal")
"""Flags that concern the numbers shown; density that is not constrained is shown as such."""
GREY = "#C8C8C8"
HATCHES = {"upper_limit": r"\\\\\\", "lower_limit": "//////"}

LEFT, RIGHT, BETWEEN, TOP, BOTTOM, BAR, BAR_GAP = 0.62, 0.10, 0.14, 0.84, 0.62, 0.09, 0.06
"""Margins, space between maps, and thickness and distance of the colour bars, inches."""
SHARES = (2.0, 98.0)
"""Percentiles that the colours span where there are many cells."""
MANY_CELLS = 40


@dataclass(frozen=True)
class Cell:
    """One place of a raster: its corners in arcsec, and its result."""

    left: float
    right: float
    bottom: float
    top: float
    result: Result


def raster_maps(results: Sequence[Result], path: str | Path) -> None:
    """Draw log T, log n and log EM of the places of a raster.

    Limits are hatched over the colour of the limit, what is not constrained is grey, and a dot stands in the
    corner of a cell whose result carries a flag that concerns it. Of two results of one place the last one fitted
    counts.

    Parameters
    ----------
    results : sequence of Result
        Targets end in `xXXXyYYY`; the annotations `solar_x_arcsec` and `solar_y_arcsec` hold the centres.
    path : path
        Where to write; the suffix decides the format.

    Raises
    ------
    ValueError
        Without results, or when a target or its annotations give no place.
    """
    grid = cells(results)
    xs, ys = (
        (min(c.left for c in grid), max(c.right for c in grid)),
        (min(c.bottom for c in grid), max(c.top for c in grid)),
    )
    width = (WIDTH - LEFT - RIGHT - (len(MAPS) - 1) * BETWEEN) / len(MAPS)
    tall = width * (ys[1] - ys[0]) / (xs[1] - xs[0])
    height = TOP + tall + BOTTOM
    with picture(path, height) as figure:
        drawn: set[str] = set()
        for column, (name, colours) in enumerate(MAPS.items()):
            left = (LEFT + column * (width + BETWEEN)) / WIDTH
            axes = figure.add_axes((left, BOTTOM / height, width / WIDTH, tall / height))
            bar = figure.add_axes((left, (BOTTOM + tall + BAR_GAP) / height, width / WIDTH, BAR / height))
            drawn |= _draw_map(figure, axes, bar, grid, name, colours)
            axes.set_xlim(*xs)
            axes.set_ylim(*ys)
            axes.set_aspect("equal")
            axes.set_xlabel("Solar X [arcsec]")
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axes.tick_params(which="both", direction="out", top=False, right=False, labelleft=column == 0)
        figure.axes[0].set_ylabel("Solar Y [arcsec]")
        figure.text(LEFT / WIDTH, 1 - 0.08 / height, _title(grid), fontsize=10, va="top")
        _legend(figure, drawn, height)


def cells(results: Sequence[Result]) -> list[Cell]:
    """Return the cells of a raster, their edges halfway between the centres of neighbours.

    Raises
    ------
    ValueError
        Without results, or when a target or its annotations give no place.
    """
    if not results:
        raise ValueError("No results to draw maps of.")
    latest: dict[tuple[int, int], Result] = {}
    for result in sorted(results, key=lambda result: result.fitted_at.timestamp() if result.fitted_at else 0.0):
        latest[_place(result)] = result
    centres = np.array([_centre(result) for result in latest.values()])
    indices = np.array(list(latest))
    half_x, half_y = (0.5 * _step(indices[:, axis], centres[:, axis]) for axis in (0, 1))
    if not np.isfinite(half_x):
        half_x = half_y
    if not np.isfinite(half_y):
        half_y = half_x
    if not np.isfinite(half_x):
        half_x = half_y = 0.5
    return [
        Cell(x - half_x, x + half_x, y - half_y, y + half_y, result)
        for (x, y), result in zip(centres, latest.values(), strict=True)
    ]


def _place(result: Result) -> tuple[int, int]:
    found = re.search(r"x(\d+)y(\d+)$", result.target)
    if found is None:
        raise ValueError(f"Target {result.target!r} is no place in a raster: it must end in x<column>y<row>.")
    return int(found[1]), int(found[2])


def _centre(result: Result) -> tuple[float, float]:
    try:
        return float(result.annotations["solar_x_arcsec"]), float(result.annotations["solar_y_arcsec"])
    except (KeyError, ValueError):
        raise ValueError(
            f"Result of {result.target} has no place on the Sun: annotate spectra with solar_x_arcsec, solar_y_arcsec."
        ) from None


def _step(index: np.ndarray, centre: np.ndarray) -> float:
    """Arcsec per cell along an axis; NaN where all cells share one index."""
    if np.ptp(index) == 0:
        return float("nan")
    return float(abs(np.polyfit(index, centre, 1)[0]))


def _draw_map(figure: Figure, axes: Axes, bar: Axes, grid: Sequence[Cell], name: str, colours: str) -> set[str]:
    """Draw one map with its colour bar; return what a legend must explain."""
    parameters = [cell.result.parameters[name] for cell in grid]
    known = np.array([_shown(p) for p in parameters if p.constraint != "unconstrained"])
    drawn: set[str] = set()
    scale = _scale(known)
    palette = colormaps[colours]
    axes.set_facecolor("white")
    for cell, parameter in zip(grid, parameters, strict=True):
        box = ((cell.left, cell.bottom), cell.right - cell.left, cell.top - cell.bottom)
        if parameter.constraint == "unconstrained":
            drawn.add("unconstrained")
            axes.add_patch(Rectangle(*box, facecolor=GREY, linewidth=0))
        else:
            colour = palette(scale(_shown(parameter)))
            axes.add_patch(Rectangle(*box, facecolor=colour, edgecolor=colour, linewidth=0.3))
        if parameter.limit is not None:
            drawn.add(parameter.constraint)
            ink = "black" if scale(_shown(parameter)) > 0.6 else "white"
            axes.add_patch(
                Rectangle(*box, facecolor="none", edgecolor=ink, hatch=HATCHES[parameter.constraint], linewidth=0)
            )
        if set(cell.result.flags) & set(MARKED_FLAGS):
            drawn.add("flagged")
            axes.plot(
                cell.right - 0.16 * box[1],
                cell.top - 0.16 * box[2],
                "o",
                markersize=2.6,
                markerfacecolor="white",
                markeredgecolor="black",
                markeredgewidth=0.5,
            )
    if not len(known):
        bar.set_axis_off()
        bar.text(0.5, 0.5, "unconstrained everywhere", transform=bar.transAxes, ha="center", va="bottom")
        return drawn
    low, high = known.min() < scale.vmin, known.max() > scale.vmax
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[low, high]
    colour_bar = figure.colorbar(
        ScalarMappable(scale, palette), cax=bar, orientation="horizontal", extend=extend, extendfrac=0.04
    )
    colour_bar.ax.xaxis.set_ticks_position("top")
    colour_bar.ax.xaxis.set_label_position("top")
    colour_bar.ax.tick_params(which="both", direction="out", bottom=False, pad=1.5)
    colour_bar.locator = MaxNLocator(5, steps=[1, 2, 5, 10])
    colour_bar.update_ticks()
    colour_bar.minorticks_off()
    colour_bar.set_label(axis_label(parameters[0]), labelpad=3)
    colour_bar.outline.set_linewidth(0.5)
    return drawn


def _shown(parameter: Parameter) -> float:
    return parameter.median if parameter.limit is None else parameter.limit


def _scale(values: np.ndarray) -> Normalize:
    if not len(values):
        return Normalize(0.0, 1.0)
    low, high = np.percentile(values, SHARES) if len(values) >= MANY_CELLS else (values.min(), values.max())
    # One value, or nearly one, must not be spread over all colours.
    half = max(0.5 * (high - low), 0.02)
    middle = 0.5 * (high + low)
    return Normalize(middle - half, middle + half, clip=True)


def _title(grid: Sequence[Cell]) -> str:
    first = grid[0].result
    region = re.sub(r"^ar(?=\d)", "AR ", first.target.removeprefix("sun/").rpartition("/")[0])
    times = [cell.result.observed_at for cell in grid if cell.result.observed_at is not None]
    when = f", {min(times):%Y-%m-%d %H:%M} UT" if times else ""
    return f"{region}, {instrument_title(first.instrument)}{when}".removeprefix(", ")


def _legend(figure: Figure, drawn: set[str], height: float) -> None:
    handles: list[Patch | Line2D] = []
    for constraint, words in (("upper_limit", "95% upper limit"), ("lower_limit", "95% lower limit")):
        if constraint in drawn:
            handles.append(Patch(facecolor="white", edgecolor="black", hatch=HATCHES[constraint], lw=0.4, label=words))
    if "unconstrained" in drawn:
        handles.append(Patch(facecolor=GREY, linewidth=0, label="unconstrained"))
    if "flagged" in drawn:
        handles.append(
            Line2D([], [], marker="o", ms=2.8, mfc="white", mec="black", mew=0.5, ls="none", label="flagged fit")
        )
    if handles:
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(LEFT / WIDTH, 0.03 / height),
            borderaxespad=0,
            ncols=len(handles),
            handlelength=1.6,
            handleheight=1.0,
            columnspacing=1.6,
        )
