"""The pictures and the page of what each preset can know."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.interpolate import RectBivariateSpline

from coronium.evaluation.knowability import SIGNAL_TO_NOISE, Map, maps
from coronium.evaluation.knowability_check import Check, checks, observatories
from coronium.evaluation.picture_style import ACCENT, instrument_title, picture
from coronium.evaluation.provenance import made_by
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments.registry import PRESETS
from coronium.physics.observation_model import ModelCache
from coronium.physics.spectrum import FloatArray

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.5)
SHADES = ("#084C94", "#2F7EBC", "#6AAED6", "#ABCFE5", "#DEEBF7")
UNKNOWN = "#F2F0EC"
FINER = 8
"""Points drawn for each point computed: the contours follow a cubic spline of ln(sd)."""


def write(pictures: Path, page: Path) -> list[Path]:
    """Compute the maps of all presets, draw them and write the page; return the files."""
    # Asked first: new pictures would make the commit look changed.
    made = made_by()
    cache = ModelCache(load_table())
    found = {name: list(maps(name, cache)) for name in PRESETS}
    files = [pictures / "knowability-density.png", pictures / "knowability-temperature.png", page]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    density_picture(found, files[0])
    temperature_picture(found, files[1])
    page.write_text(document(found, checks(*observatories(cache)), files[0], files[1], page, made), encoding="utf-8")
    return files


def density_picture(found: Mapping[str, Sequence[Map]], file: Path) -> None:
    """Draw sd(log n) over temperature and density: a row for each preset, a column for each S/N."""
    limit = next(iter(found.values()))[0].limit
    with picture(file, 1.72 * len(found) + 0.95) as figure:
        axes = figure.subplots(len(found), len(SIGNAL_TO_NOISE), sharex=True, sharey=True, squeeze=False)
        for across, (name, row) in zip(axes, found.items(), strict=True):
            for axis, one in zip(across, row, strict=True):
                t, n, sd = finer(one)
                axis.contourf(t, n, sd.T, levels=[*LEVELS, limit, np.inf], colors=[*SHADES, UNKNOWN])
                axis.contour(t, n, sd.T, levels=[limit], colors=ACCENT, linewidths=1.1)
            across[0].set_ylabel(f"{instrument_title(name)}\n" + r"$\log n_{\mathrm{e}}$ $[\mathrm{cm^{-3}}]$")
            across[0].set_xticks([6.0, 6.5, 7.0])
        for axis, one in zip(axes[0], next(iter(found.values())), strict=True):
            axis.set_title(f"S/N {one.signal_to_noise:g}")
        for axis in axes[-1]:
            axis.set_xlabel(r"$\log T$ $[\mathrm{K}]$")
        edges = [*(f"{level:g}" for level in LEVELS), f"{limit:.2f}"]
        handles: list[Any] = [
            Patch(facecolor=shade, edgecolor="0.4", linewidth=0.3, label=f"{low}-{high}")
            for shade, low, high in zip(SHADES, edges[:-1], edges[1:], strict=True)
        ]
        handles.append(Patch(facecolor=UNKNOWN, edgecolor="0.4", linewidth=0.3, label="unconstrained"))
        handles.append(Line2D([], [], color=ACCENT, linewidth=1.1, label="0.7 of the prior's sd"))
        figure.subplots_adjust(left=0.115, right=0.985, top=0.915, bottom=0.06, wspace=0.06, hspace=0.08)
        figure.legend(
            handles=handles,
            loc="upper center",
            ncols=len(handles),
            title=r"posterior sd of $\log n_{\mathrm{e}}$, dex",
            title_fontsize=8.5,
            bbox_to_anchor=(0.53, 1.0),
            columnspacing=1.1,
            handlelength=1.5,
        )


def temperature_picture(found: Mapping[str, Sequence[Map]], file: Path) -> None:
    """Draw sd(log T) over temperature, a panel for each preset; it hardly depends on density."""
    with picture(file, 2.3) as figure:
        axes = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (name, row) in zip(axes, found.items(), strict=True):
            for one, shade in zip(row, SHADES[2::-1], strict=True):
                sd = one.log_temperature_sd
                axis.fill_between(one.log_temperature, sd.min(axis=1), sd.max(axis=1), color=shade, alpha=0.35, lw=0)
                label = f"S/N {one.signal_to_noise:g}"
                axis.plot(one.log_temperature, np.median(sd, axis=1), color=shade, lw=1.1, label=label)
            axis.set(title=instrument_title(name), xlabel=r"$\log T$ $[\mathrm{K}]$", yscale="log")
        axes[0].set_ylim(0.003, 0.2)
        axes[0].set_ylabel(r"posterior sd of $\log T$, dex")
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[-1].legend(loc="upper right", handlelength=1.4)
        figure.subplots_adjust(left=0.085, right=0.985, top=0.9, bottom=0.18, wspace=0.06)


def finer(one: Map) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Interpolate sd(log n) for drawing: log T, log n and (T', N')."""
    spline = RectBivariateSpline(one.log_temperature, one.log_density, np.log(one.log_density_sd))
    t = np.linspace(one.log_temperature[0], one.log_temperature[-1], FINER * len(one.log_temperature))
    n = np.linspace(one.log_density[0], one.log_density[-1], FINER * len(one.log_density))
    return t, n, np.exp(spline(t, n))


def sentences(row: Sequence[Map]) -> str:
    """Three sentences on one preset: where density can be had, where best and from which lines, and temperature."""
    faint, middle, bright = row
    share = [f"{100 * np.mean(one.log_density_sd < one.limit):.0f} %" for one in row]
    at = np.unravel_index(np.argmin(middle.log_density_sd), middle.log_density_sd.shape)
    any_density = np.any(middle.log_density_sd < middle.limit, axis=1)
    hottest = middle.log_temperature[any_density]
    reach = f"up to log T {hottest.max():.1f}" if len(hottest) and not any_density[-1] else "at every log T"
    gap = middle.log_temperature[~any_density]
    if len(hottest) and any_density[-1] and len(gap):
        reach = f"at every log T but {gap.min():.1f}-{gap.max():.1f}"
    sd_t = [float(np.median(one.log_temperature_sd)) for one in (faint, bright)]
    lines = ", ".join(middle.lines)
    worst = int(np.argmax(middle.log_temperature_sd.max(axis=1)))
    levels = [f"{one.signal_to_noise:g}" for one in row]
    return (
        f"Density can be had in {share[0]}, {share[1]} and {share[2]} of the map at S/N {levels[0]}, {levels[1]} and "
        f"{levels[2]}; at S/N {levels[1]} somewhere {reach}. It is known best near log T "
        f"{middle.log_temperature[at[0]]:.1f}, log n {middle.log_density[at[1]]:.1f}, to "
        f"{middle.log_density_sd[at]:.2f} dex ({lines} say most). log T is known to {sd_t[0]:.3f} dex (median) at "
        f"S/N {levels[0]} and to {sd_t[1]:.3f} at S/N {levels[2]}, worst near log T "
        f"{middle.log_temperature[worst]:.1f}."
    )


def document(
    found: Mapping[str, Sequence[Map]],
    compared: Sequence[Check],
    density: Path,
    temperature: Path,
    page: Path,
    made: str,
) -> str:
    """The page docs/knowability.md; `made` says when and from what."""
    one = next(iter(found.values()))[0]
    presets = "\n\n".join(f"**{instrument_title(name)}** (`{name}`). {sentences(row)}" for name, row in found.items())
    rows = "\n".join(
        f"| {c.what} | "
        + " | ".join(f"{low:.2f}-{high:.2f}" for low, high in (c.wanted, c.three_free, c.all_free))
        + " |"
        for c in compared
    )
    beside = [os.path.relpath(file, page.parent) for file in (density, temperature)]
    return f"""# What can be known before observing

Whether a spectrum of a plasma of temperature T and density n, taken at a given signal to noise, would give its density.

![Posterior standard deviation of log n over temperature and density, by preset and S/N]({beside[0]})

Look up the panel of your instrument and S/N, then your plasma. Blue: the standard deviation of log n that a fit would
have, the darker the better. Beyond the red contour it exceeds 0.7 of the prior's ({one.limit:.2f} of
{one.density_prior_sd:.2f} dex): the fit publishes such a density as `unconstrained`, not as a number. A longer exposure
helps where the next panel to the right is darker. Where all three are grey, no line of the band that can be seen at
that temperature depends on density there.

{presets}

![Posterior standard deviation of log T over temperature, by preset and S/N]({beside[1]})

The line is the median over density, the band its range.

## How it is computed

Fisher information of the fit's own model about all its unknowns at once: abundances, calibration, atomic corrections,
background, widths, shifts and the model's own error are free with their priors, at the prior's centre. The plasma is
isothermal; S/N is per resolution element, averaged over the ten strongest lines, reached by scaling the emission
measure in one typical exposure of the preset. Temperature and density have a Gaussian of the uniform prior's variance.
This is a Gaussian approximation about the truth: near an end of the prior a fit gives a limit instead.

## Against numbers known before

With the mission's range of density (log n 9-11, whose prior alone has sd 0.577), at S/N 5. "Known before" are Fisher
estimates of an isothermal plasma made before this model existed.

| sd of log n, dex | known before | T, n, EM free | all unknowns free |
|---|---|---|---|
{rows}

They agree where the band is blind. Freeing calibration, atomic corrections, abundances and the model's own error costs
little there, because there is nothing to lose; it costs most where lines of several elements carry the density. The
number for LETG came without a temperature: below log T 6.3 the spectrum is all O VII and density shows at lower n.
`tests/science/test_knowability.py` holds this table to 0.01 dex.

{made} Command: `coronium evaluate knowability` (`make knowability`).
"""
