"""The picture of Capella's O VII triplet and of the density that its f/i means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coronium.evaluation.o7_capella import HandMeasurement
from coronium.evaluation.o7_data import TRIPLET
from coronium.evaluation.o7_density import PRIOR, TEMPERATURE, TEMPERATURES, ratio_of
from coronium.evaluation.picture_style import ACCENT, DATA, FAINT, MODEL, picture
from coronium.physics.atomic.table import EmissivityTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKED = ((21.455, "Ca XVI"), (21.73, "S XIV"), (21.95, "Ca XV"), (22.02, "O VI"))
"""Other lines of the window, Angstrom (Ca XV and O VI apart by what their labels need)."""


def draw_triplet(hand: HandMeasurement, table: EmissivityTable, path: Path) -> None:
    """Draw the coadded triplet with its fit and residuals, and f/i against log n with the measured band."""
    with picture(path, 3.1) as figure:
        grid = figure.add_gridspec(
            2,
            2,
            width_ratios=(1.45, 1),
            height_ratios=(3.2, 1),
            hspace=0.0,
            wspace=0.22,
            left=0.07,
            right=0.985,
            top=0.92,
            bottom=0.125,
        )
        spectrum = figure.add_subplot(grid[0, 0])
        residual = figure.add_subplot(grid[1, 0], sharex=spectrum)
        _spectrum(spectrum, hand)
        _residual(residual, hand)
        spectrum.tick_params(labelbottom=False)
        _density(figure.add_subplot(grid[:, 1]), hand, table)
        figure.align_ylabels([spectrum, residual])


def _spectrum(axes: Axes, hand: HandMeasurement) -> None:
    data, triplet = hand.data, hand.triplet
    axes.errorbar(
        data.wavelength,
        data.counts,
        np.sqrt(data.counts),
        fmt=".",
        color=DATA,
        ms=3,
        elinewidth=0.6,
        label="data",
    )
    axes.stairs(triplet.model, data.edges, color=MODEL, lw=1.0, baseline=None, label="fit")
    axes.stairs(triplet.continuum, data.edges, color=FAINT, lw=0.8, ls="--", baseline=None, label="continuum")
    axes.set_yscale("log")
    axes.set_ylim(70, 1.2e4)
    axes.set_xlim(data.edges[0], data.edges[-1])
    for name, wavelength, counts in zip("rif", TRIPLET, triplet.line_counts, strict=True):
        peak = data.counts[np.abs(data.wavelength - wavelength) < 0.03].max()
        axes.annotate(
            f"$\\it{{{name}}}$\n{counts:.0f}", (wavelength, 1.25 * peak), ha="center", va="bottom", linespacing=1.0
        )
    for wavelength, label in MARKED:
        axes.annotate(label, (wavelength, 86), ha="center", va="center", fontsize=6.5, color=FAINT)
    axes.set_ylabel("counts per bin")
    handles, labels = axes.get_legend_handles_labels()
    order = [labels.index(label) for label in ("data", "fit", "continuum")]
    axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="upper center", ncols=3, handlelength=1.6)
    axes.set_title("Capella, O VII, LETG/HRC-S: 25 exposures and both orders added up", loc="left")


def _residual(axes: Axes, hand: HandMeasurement) -> None:
    data, model = hand.data, hand.triplet.model
    axes.axhline(0, color=FAINT, lw=0.6)
    axes.plot(data.wavelength, (data.counts - model) / np.sqrt(model), ".", color=DATA, ms=3)
    axes.set_ylim(-4.5, 4.5)
    axes.set_yticks([-3, 0, 3])
    axes.set_ylabel(r"residual [$\sigma$]")
    axes.set_xlabel("wavelength [Å]")


def _density(axes: Axes, hand: HandMeasurement, table: EmissivityTable) -> None:
    log_n = np.linspace(*PRIOR, 241)
    triplet, density = hand.triplet, hand.density
    low, high = triplet.interval
    axes.axhspan(low, high, color=ACCENT, alpha=0.18, lw=0)
    axes.axhline(triplet.f_over_i, color=ACCENT, lw=0.9)
    coolest, hottest = (ratio_of(table, t, log_n) for t in (TEMPERATURES[0], TEMPERATURES[-1]))
    axes.fill_between(log_n, coolest, hottest, color=MODEL, alpha=0.18, lw=0)
    axes.plot(log_n, ratio_of(table, TEMPERATURE, log_n), color=MODEL, lw=1.1)
    axes.set_xlim(*PRIOR)
    axes.set_ylim(0, 4.7)
    axes.set_xlabel(r"$\log n_{\mathrm{e}}$ $[\mathrm{cm^{-3}}]$")
    axes.set_ylabel(r"O VII $f/i$ (photons)")
    axes.text(
        11.85,
        high + 0.03,
        rf"measured: ${triplet.f_over_i:.2f} \pm {triplet.error:.2f}$",
        ha="right",
        va="bottom",
        color=ACCENT,
    )
    axes.text(
        8.15,
        2.1,
        f"table, $\\log T = {TEMPERATURE}$\n(band: {TEMPERATURES[0]}–{TEMPERATURES[-1]})",
        color=MODEL,
        va="bottom",
        linespacing=1.2,
    )
    base = 0.28
    if density.measured:
        axes.plot(density.interval95, [base] * 2, color=DATA, lw=0.8)
        axes.plot(density.interval68, [base] * 2, color=DATA, lw=2.4, solid_capstyle="butt")
        axes.plot(density.median, base, "o", color="white", mec=DATA, ms=4)
        above, below = density.interval68[1] - density.median, density.median - density.interval68[0]
        text = rf"$\log n_{{\mathrm{{e}}}} = {density.median:.2f}^{{+{above:.2f}}}_{{-{below:.2f}}}$"
        axes.text(density.interval95[0], base + 0.16, text, va="bottom")
    else:
        axes.annotate("", (PRIOR[0], base), (density.upper_limit, base), arrowprops={"arrowstyle": "->", "lw": 0.8})
        text = rf"$\log n_{{\mathrm{{e}}}} < {density.upper_limit:.2f}$ (95%)"
        axes.text(PRIOR[0] + 0.1, base + 0.16, text, va="bottom")
