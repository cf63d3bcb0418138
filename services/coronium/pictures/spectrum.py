"""One spectrum: data, posterior-predictive band, residuals and the lines in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from coronium.evaluation.picture_style import DATA, FAINT, MODEL, WIDTH, instrument_title, picture
from coronium.physics.spectrum import Spectrum, Statistic
from coronium.pictures.line_labels import place_labels
from coronium.pictures.panels import Panel, panels
from coronium.pictures.words import in_mathtext, target_title

if TYPE_CHECKING:
    from coronium.client.result import Line, Result

SHORT_PANEL = 60
"""Panels of fewer bins are drawn beside each other."""
COLUMNS = 3

LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 0.58, 0.10, 0.74, 0.42, 0.40
"""Margins, and the space between columns, inches."""
LABEL_ROW, SPECTRUM, GAP, RESIDUAL, BELOW = 0.72, 1.25, 0.05, 0.48, 0.30
"""Heights of the parts of a panel, inches: labels, spectrum, space, residuals, wavelengths."""
LABEL_SIZE = 6.5
RESIDUAL_LIMITS = (3.5, 8.0)
"""Least and largest half height of a panel of residuals, sigma; what lies beyond is drawn at its edge."""


def spectrum_picture(result: Result, observation: Spectrum | None, path: str | Path) -> None:
    """Draw data, posterior-predictive band, residuals and identified lines of one result.

    Exposures, and orders on one wavelength grid, are added up; bins are those of the band. Residuals are
    (data - model) / sqrt(model + read variance). Short windows stand in a grid, long ranges in rows.

    Parameters
    ----------
    result : Result
        With its predictive bands.
    observation : Spectrum
        What it was fitted to.
    path : path
        Where to write; the suffix decides the format.

    Raises
    ------
    ValueError
        Without observation or predictive band, or when they do not belong together.
    """
    pieces = panels(result, observation)
    assert observation is not None
    columns = COLUMNS if max(len(piece.data) for piece in pieces) < SHORT_PANEL else 1
    columns = min(columns, len(pieces))
    rows = -(-len(pieces) // columns)
    row_height = LABEL_ROW + SPECTRUM + GAP + RESIDUAL + BELOW
    height = TOP + rows * row_height + BOTTOM - BELOW
    width = (WIDTH - LEFT - RIGHT - (columns - 1) * BETWEEN) / columns
    unit = _unit(pieces)
    with picture(path, height) as figure:
        theoretical = False
        for number, piece in enumerate(pieces):
            row, column = divmod(number, columns)
            left = LEFT + column * (width + BETWEEN)
            top = height - TOP - row * row_height - LABEL_ROW
            box = (left / WIDTH, width / WIDTH)
            upper = figure.add_axes((box[0], (top - SPECTRUM) / height, box[1], SPECTRUM / height))
            lower = figure.add_axes((box[0], (top - SPECTRUM - GAP - RESIDUAL) / height, box[1], RESIDUAL / height))
            _draw(upper, lower, piece, unit)
            theoretical |= _label(upper, piece, result, width, unit)
            if column == 0:
                upper.set_ylabel(_value_label(piece, unit))
                lower.set_ylabel(r"$\Delta/\sigma$")
        _head(figure, result, observation, height, theoretical)
        figure.text(0.5, 0.1 / height, r"Wavelength [$\mathrm{\AA}$]", ha="center", va="bottom")


def _unit(pieces: list[Panel]) -> float:
    """Power of a thousand in which the brightest bin of all is less than a few thousand."""
    most = max((float(np.nanmax(piece.data / piece.width)) for piece in pieces if piece.covered), default=1.0)
    return 1000.0 ** np.floor(np.log10(max(most, 1e-300) / 5.0) / 3.0)


def _value_label(piece: Panel, unit: float) -> str:
    value = "flux" if piece.statistic is Statistic.FLUX else "counts"
    if unit == 1.0:
        return rf"{value.capitalize()} $\mathrm{{\AA}}^{{-1}}$"
    return rf"$10^{{{round(np.log10(unit))}}}$ {value} $\mathrm{{\AA}}^{{-1}}$"


def _draw(upper: Axes, lower: Axes, piece: Panel, unit: float) -> None:
    for axes in (upper, lower):
        axes.set_xlim(piece.edges[0], piece.edges[-1])
    upper.tick_params(labelbottom=False)
    if not piece.covered:
        upper.text(0.5, 0.5, "not covered", transform=upper.transAxes, ha="center", va="center", color=FAINT)
        for axes in (upper, lower):
            axes.set_yticks([])
        return
    per_angstrom = 1.0 / (piece.width * unit)
    upper.stairs(
        piece.upper * per_angstrom,
        piece.edges,
        baseline=piece.lower * per_angstrom,
        fill=True,
        color=MODEL,
        alpha=0.35,
        linewidth=0,
    )
    upper.stairs(piece.model * per_angstrom, piece.edges, baseline=None, color=MODEL, linewidth=0.8)
    upper.stairs(piece.data * per_angstrom, piece.edges, baseline=None, color=DATA, linewidth=0.7)
    upper.errorbar(
        piece.wavelength,
        piece.data * per_angstrom,
        yerr=piece.sigma * per_angstrom,
        fmt="none",
        ecolor=DATA,
        elinewidth=0.5,
        alpha=0.7,
    )
    top = np.nanmax(np.maximum(piece.data + piece.sigma, piece.upper) * per_angstrom)
    bottom = min(0.0, float(np.nanmin(np.minimum(piece.data - piece.sigma, piece.lower) * per_angstrom)))
    upper.set_ylim(bottom - (0.03 * top if bottom < 0 else 0.0), 1.06 * top)
    upper.yaxis.set_major_locator(MaxNLocator(4))
    _draw_residuals(lower, piece)


def _draw_residuals(axes: Axes, piece: Panel) -> None:
    residual = piece.residual
    half = float(np.clip(1.15 * np.nanmax(np.abs(residual)), *RESIDUAL_LIMITS))
    axes.axhspan(-1, 1, color=MODEL, alpha=0.15, linewidth=0)
    axes.axhline(0, color=MODEL, linewidth=0.6)
    inside = np.abs(residual) <= half
    axes.errorbar(
        piece.wavelength[inside],
        residual[inside],
        yerr=1.0,
        fmt="o",
        color=DATA,
        markersize=1.4,
        markeredgewidth=0,
        elinewidth=0.4,
    )
    for sign, marker in ((1, "^"), (-1, "v")):
        beyond = sign * residual > half
        axes.plot(
            piece.wavelength[beyond],
            np.full(beyond.sum(), 0.86 * sign * half),
            marker,
            color=DATA,
            markersize=3,
            markeredgewidth=0,
        )
    axes.set_ylim(-half, half)
    axes.set_yticks([-3, 0, 3] if half < 6 else [-5, 0, 5])
    axes.yaxis.set_minor_locator(MaxNLocator(9, integer=True))


def _label(axes: Axes, piece: Panel, result: Result, width: float, unit: float) -> bool:
    """Label the identified lines above a panel; return whether one of them has a theoretical wavelength."""
    low, high = piece.edges[0], piece.edges[-1]
    usable = np.isfinite(piece.data)
    lines = [line for line in result.identified_lines if low <= line.wavelength < high]
    lines = [line for line in lines if usable[np.searchsorted(piece.edges, line.wavelength, "right") - 1]]
    point = (high - low) / (72.0 * width)
    kept, placed = place_labels(
        [line.wavelength for line in lines],
        [line.predicted_signal_to_noise for line in lines],
        1.15 * LABEL_SIZE * point,
        low,
        high,
        6.0 * LABEL_SIZE * point,
    )
    across = axes.get_xaxis_transform()
    bottom, top = axes.get_ylim()
    for index, position in zip(kept, placed, strict=True):
        wavelength = lines[index].wavelength
        near = np.abs(piece.wavelength - wavelength) <= 2 * np.median(np.diff(piece.edges))
        peak = np.nanmax(np.maximum(piece.data, piece.upper)[near] / (unit * piece.width[near]))
        axes.plot(
            [position, wavelength, wavelength],
            [1.11, 1.03, min(1.0, 0.06 + (peak - bottom) / (top - bottom))],
            color=FAINT,
            linewidth=0.5,
            transform=across,
            clip_on=False,
            zorder=0.5,
        )
        axes.text(
            position,
            1.13,
            _words(lines[index]),
            transform=across,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=LABEL_SIZE,
        )
    return any(lines[index].theoretical for index in kept)


def _words(line: Line) -> str:
    """Return ion and wavelength with two decimals; a blend keeps its plus, a theoretical wavelength has a star."""
    ion = line.label.rstrip("+").rpartition(" ")[0] or line.label
    blend = "+" if line.label.endswith("+") else ""
    return f"{ion} {line.wavelength:.2f}{'*' if line.theoretical else ''}{blend}"


def _head(figure: Figure, result: Result, observation: Spectrum, height: float, theoretical: bool) -> None:
    left = LEFT / WIDTH
    title = f"{target_title(result)}, {instrument_title(result.instrument)}, {_when(observation)}"
    figure.text(left, 1 - 0.10 / height, title, fontsize=10, va="top")
    names = ("log_temperature", "log_density", "log_emission_measure")
    values = [in_mathtext(result.parameters[name]) for name in names if name in result.parameters]
    figure.text(left, 1 - 0.31 / height, "   ".join(values), va="top")
    notes = [_fit_quality(result, observation), *(flag.replace("_", " ") for flag in result.flags)]
    notes += ["* theoretical wavelength"] if theoretical else []
    figure.text(left, 1 - 0.51 / height, "; ".join(filter(None, notes)), va="top", fontsize=7.5, color="#555555")
    handles: list[Any] = [
        Line2D([], [], color=DATA),
        (Patch(color=MODEL, alpha=0.35, linewidth=0), Line2D([], [], color=MODEL)),
    ]
    figure.legend(
        handles,
        ["data", "posterior prediction, 68%"],
        handler_map={tuple: HandlerTuple(ndivide=1)},
        loc="upper right",
        bbox_to_anchor=(1 - RIGHT / WIDTH, 1 - 0.06 / height),
        borderaxespad=0,
        ncols=2,
        columnspacing=1.2,
        handlelength=1.6,
    )


def _when(observation: Spectrum) -> str:
    known = observation.exposure_start[observation.exposure_start != 0]
    seconds = float(observation.exposure_seconds.sum())
    length = f"{seconds / 1e3:.4g} ks" if seconds >= 1e3 else f"{seconds:.3g} s"
    dates = (
        [str(np.datetime64(int(second), "s").astype("datetime64[D]")) for second in (known.min(), known.max())]
        if (known.size)
        else []
    )
    if observation.exposures > 1:
        years = f", {dates[0][:4]}–{dates[1][:4]}" if dates else ""
        return f"{observation.exposures} exposures{years}, {length}"
    return ", ".join([*dates[:1], length])


def _fit_quality(result: Result, observation: Spectrum) -> str:
    statistic, expected, deviation = (
        result.diagnostics.get(name, 0.0) for name in ("statistic", "expected_statistic", "statistic_deviation")
    )
    if not deviation > 0:
        return ""
    symbol = "C" if observation.channels[0].statistic is Statistic.POISSON else r"-2\,\ln\,\mathcal{L}"
    return rf"${symbol} = {statistic:.0f}$, expected ${expected:.0f} \pm {deviation:.0f}$"
