"""The page docs/sky.md: what a demonstration's posteriors say of the sky, beside plain methods."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from coronium.evaluation.line_misfits import NOT_EXPLAINED
from coronium.evaluation.o7_capella import HandMeasurement, measure_capella
from coronium.evaluation.o7_data import TRIPLET
from coronium.evaluation.picture_o7 import draw_triplet
from coronium.evaluation.provenance import made_by
from coronium.evaluation.sky import Check, density_checks, flag_check, raster_checks, temperature_checks
from coronium.evaluation.sky_misfits import Misfits, misfits
from coronium.evaluation.sky_results import SkyResults, misfit, read_results
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.readers.capella import read_capella_cube
from coronium.physics.readers.eis import read_raster
from coronium.physics.spectrum import Spectrum

LINE_NAMES = ("resonance", "intercombination", "forbidden")


def write_page(results_file: Path, output: Path, picture: Path) -> list[Check]:
    """Write the page and its picture from a demonstration's results.json; return what was checked.

    Parameters
    ----------
    results_file : path
        Where results carry no prediction, the cube and the brightest macropixel are fitted again.
    output, picture : path
        The Markdown page and the PNG.

    Raises
    ------
    SkyError
        The file does not serve.
    """
    results = read_results(results_file)
    table = load_table()
    hand = measure_capella(table)
    spectra = read_raster() if results.raster else []
    checks = [
        *density_checks(results.cube, hand, table),
        *temperature_checks(results),
        *(raster_checks(results.raster, spectra, table) if results.raster else []),
        flag_check(results),
    ]
    judged = [misfits("Capella, all exposures", results.cube, read_capella_cube(), table)]
    brightest = brightest_macropixel(results, spectra)
    if brightest is not None:
        record = next(r for r in results.raster if r["target"] == brightest.target)
        judged.append(misfits(f"brightest macropixel ({brightest.name})", record, brightest, table))
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_triplet(hand, table, picture)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(results, hand, checks, judged, table, os.path.relpath(picture, output.parent)))
    return checks


def brightest_macropixel(results: SkyResults, spectra: Sequence[Spectrum]) -> Spectrum | None:
    """Return the macropixel with the most counts among those with a result; None without any."""
    targets = {record["target"] for record in results.raster}
    own = [spectrum for spectrum in spectra if spectrum.target in targets]
    return max(own, key=lambda s: sum(c.counts[c.mask].sum() for c in s.channels), default=None)


def page(
    results: SkyResults,
    hand: HandMeasurement,
    checks: Sequence[Check],
    judged: Sequence[Misfits],
    table: EmissivityTable,
    picture: str,
) -> str:
    """Return the Markdown text."""
    missing = sum(check.holds is False for check in checks)
    return f"""# The sky

Posteriors of real spectra beside what plain methods, which share nothing with the fit but the emissivity table, say of
the same data. {missing} of {len(checks)} checks miss.

{made_by()} Command: `coronium evaluate sky RESULTS.json`; the results were written by `coronium demo`,
version {results.cube["versions"].get("software", "an unknown version")}, emissivities
{results.cube["versions"].get("emissivity_table", "unknown")} ({table.provenance.get("chianti_version", "unknown")}).

{checks_table(checks)}

## Capella's O VII triplet by hand

![The O VII triplet of Capella with the fit, and f/i against density]({picture})

{triplet_text(hand)}

## What fits badly

{fit_table(judged)}

The ten worst identified lines of each. A window is one full width at half maximum to either side of the line, orders
and exposures added up; observed and predicted counts include all that lies beneath the line. The residual is in units
of the counting (and read-out) noise of the predicted counts alone, without the model's own error; C-stat or chi-square
is per bin of the window, about 1 where the model fits. Reasons are looked up, not fitted: atomic data by ion
([atomic-data.md](atomic-data.md)), unmodelled orders and wavelength calibration by instrument
([instruments.md](instruments.md)), multithermality by the temperature at which the line is strongest; "flanks" where
the window's summed counts explain less than half of its statistic.

{chr(10).join(misfit_table(one) for one in judged)}"""


def checks_table(checks: Sequence[Check]) -> str:
    """Return wanted and measured, with a miss printed as a miss."""
    words = {True: "holds", False: "**MISSES**", None: "not judged"}
    rows = [f"| {c.what} | {c.wanted} | {c.measured} | {words[c.holds]} |" for c in checks]
    return "\n".join(["| what | wanted | measured | |", "|---|---|---|---|", *rows])


def triplet_text(hand: HandMeasurement) -> str:
    """Return the measurement, how it depends on choices, and the densities it means."""
    triplet, density = hand.triplet, hand.density
    lines = [
        f"| {name} {wavelength:.3f} | {counts:.0f} | {1e4 * flux:.3f} |"
        for name, wavelength, counts, flux in zip(LINE_NAMES, TRIPLET, triplet.line_counts, triplet.flux, strict=True)
    ]
    variants = [
        f"| {name} | {v.f_over_i:.2f} ± {v.error:.2f} | {v.deviance:.0f} / {v.degrees_of_freedom} |"
        for name, v in {"as above": triplet, **hand.variants}.items()
    ]
    densities = [f"| {d.log_temperature[0]} | {d} |" for d in hand.densities]
    blends = ", ".join(f"{name} {counts:.0f}" for name, counts in triplet.blends.items())
    new_line = "\n"
    return f"""All 25 exposures and both orders, counts and area x exposure added up; Poisson likelihood; three lines
of LETG's profile (1 + u²)^(-5/2) with one shift ({1e3 * triplet.shift:.1f} mÅ) and one width (FWHM
{1e3 * triplet.fwhm:.1f} mÅ), a constant continuum, the scaled background, and the other lines of the window with free
fluxes (counts: {blends}), each ion's lines in the table's proportions.

| line, Å | counts | 10⁻⁴ photons cm⁻² s⁻¹ |
|---|---|---|
{new_line.join(lines)}

**f/i = {triplet.f_over_i:.2f} ± {triplet.error:.2f}** (68 % of the profile likelihood:
{triplet.interval[0]:.2f}-{triplet.interval[1]:.2f}). Where the other lines are neither fitted nor left out, they pass
for continuum, i loses by it, and the fit is bad; that row is printed as a warning. A continuum with a slope fits
better, but it falls to shorter waves, where the blends then take its place; the difference is a systematic error of f/i
as large as the statistical one.

| | f/i | deviance / degrees of freedom |
|---|---|---|
{new_line.join(variants)}

The density whose f/i in the table agrees, log n uniform from 8 to 12 beforehand (68 % and 95 % intervals):

| table at log T | log n |
|---|---|
{new_line.join(densities)}
| all four averaged | {hand.any_temperature} |
| {hand.sloped.log_temperature[0]}, continuum with a slope | {hand.sloped} |

Near 4.1, its low-density limit, f/i says little: with a deeper limit on the prior the lower end would move, while the
upper one ({density.upper_limit:.2f} at 95 %, one-sided) would not. The literature spans 2·10⁹ to 2·10¹⁰ cm⁻³."""


def fit_table(judged: Sequence[Misfits]) -> str:
    """Return statistic and flags of the judged results."""
    rows = []
    for one in judged:
        found = one.record["diagnostics"]
        flags = ", ".join(f"`{flag}`" for flag in one.record["flags"]) or "none"
        rows.append(
            f"| {one.title} | {found['statistic']:.0f} | {found['expected_statistic']:.0f} ± "
            f"{found['statistic_deviation']:.0f} | {misfit(one.record):.1f} | {flags} |"
        )
    head = "| result | -2 ln likelihood | expected | sd apart | flags |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def misfit_table(one: Misfits) -> str:
    """Return the worst lines of one result."""
    unexplained = sum(line.why == NOT_EXPLAINED for line in one.lines)
    source = (
        "The prediction is of a new fit at the modes, with the same plasma model: the results carry none."
        if one.refitted
        else "The prediction is the result's own."
    )
    rows = [
        f"| {line.label} | {line.observed:.0f} | {line.predicted:.0f} | {line.observed / line.predicted:.2f} "
        f"| {line.residual:+.1f} | {line.statistic / line.bins:.1f} ({line.bins}) | {line.why} |"
        for line in one.lines
    ]
    return "\n".join(
        [
            f"### {one.title[0].upper()}{one.title[1:]}",
            "",
            f"{len(one.lines)} of {one.identified} identified lines; {unexplained} of them not explained. {source}",
            "",
            "| line | observed | predicted | ratio | residual, σ | statistic per bin (bins) | why |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
