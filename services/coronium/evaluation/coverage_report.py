"""The table and the picture of a coverage run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import binom

from coronium.evaluation.coverage import LEVELS, PARAMETERS, Row
from coronium.evaluation.picture_style import picture
from coronium.evaluation.provenance import made_by
from coronium.physics.instruments.registry import PRESETS

BINS = (0.0, 2.5, 4.0, 7.0, np.inf)
"""Of the S/N measured from the data; noise alone has about 2 in its ten highest windows."""
CONFIDENCE = 0.99
LEAST_SPECTRA = 500
"""Of a preset, for a table that says something of each S/N."""
TITLES = {
    "log_temperature": "log T",
    "log_density": "log n",
    "log_emission_measure": "log EM",
}


@dataclass(frozen=True)
class Cell:
    """Coverage of one parameter in one S/N bin of one run.

    Attributes
    ----------
    count : spectra
    covered : share inside the 68 % and the 95 % interval
    bounds : 99 % binomial bounds of each share, were the intervals exact
    rmse : of the median about the truth, dex
    typical_sd : median posterior standard deviation, dex
    """

    run: str
    parameter: str
    low: float
    high: float
    count: int
    covered: tuple[float, float]
    bounds: tuple[tuple[float, float], tuple[float, float]]
    rmse: float
    typical_sd: float

    @property
    def holds(self) -> bool:
        """Whether both shares lie inside their bounds."""
        return all(low <= c <= high for c, (low, high) in zip(self.covered, self.bounds, strict=True))


def binomial_bounds(level: float, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Bounds of the share of `count` exact intervals that hold the truth, with this confidence."""
    tail = 0.5 * (1.0 - confidence)
    return float(binom.ppf(tail, count, level) / count), float(binom.ppf(1.0 - tail, count, level) / count)


def run_name(row: Row) -> str:
    """What rows of one run share."""
    return ", ".join([row.instrument, row.plasma, *(["mission's box"] if row.box == "mission" else [])])


def cells(rows: Sequence[Row]) -> list[Cell]:
    """Coverage by run, S/N bin (and all together) and parameter."""
    found = []
    for run in dict.fromkeys(run_name(r) for r in rows):
        own = [r for r in rows if run_name(r) == run]
        for low, high in [*pairwise(BINS), (BINS[0], BINS[-1])]:
            members = [r for r in own if low <= r.data_signal_to_noise < high or (low, high) == (BINS[0], BINS[-1])]
            if not members:
                continue
            for name in PARAMETERS:
                inside = np.array([r.inside[name] for r in members], float)
                error = np.array([r.median[name] - r.truth[name] for r in members])
                found.append(
                    Cell(
                        run=run,
                        parameter=name,
                        low=low,
                        high=high,
                        count=len(members),
                        covered=(float(inside[:, 0].mean()), float(inside[:, 1].mean())),
                        bounds=(
                            binomial_bounds(LEVELS[0], len(members)),
                            binomial_bounds(LEVELS[1], len(members)),
                        ),
                        rmse=float(np.sqrt(np.mean(error**2))),
                        typical_sd=float(np.median([r.sd[name] for r in members])),
                    )
                )
    return found


def table(rows: Sequence[Row]) -> str:
    """Markdown table of coverage; a miss is printed as a miss."""
    lines = [
        "| run | S/N of the data | n | parameter | in 68 % (bounds) | in 95 % (bounds) | RMSE, dex | median sd | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells(rows):
        whole = cell.low == BINS[0] and cell.high == BINS[-1]
        at = "all" if whole else f"{cell.low:g}-{cell.high:g}" if np.isfinite(cell.high) else f"over {cell.low:g}"
        shares = [
            f"{100 * c:.1f} ({100 * low:.1f}-{100 * high:.1f})"
            for c, (low, high) in zip(cell.covered, cell.bounds, strict=True)
        ]
        lines.append(
            f"| {cell.run} | {at} | {cell.count} | {TITLES[cell.parameter]} | {shares[0]} | {shares[1]} "
            f"| {cell.rmse:.3f} | {cell.typical_sd:.3f} | {'holds' if cell.holds else '**MISS**'} |"
        )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """Markdown table of what the sampler did in each run."""
    lines = [
        "| run | n | fitted at | seconds a spectrum | not converged | evidence unreliable | poorly fitted "
        "| n unconstrained |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in dict.fromkeys(run_name(r) for r in rows):
        own = [r for r in rows if run_name(r) == run]
        # The first batch compiles.
        seconds = float(np.median([r.seconds for r in own]))
        shares = [
            f"{100 * np.mean([flag in r.flags for r in own]):.1f} %"
            for flag in ("not_converged", "evidence_unreliable", "poorly_fitted", "density_unconstrained")
        ]
        commits = ", ".join(dict.fromkeys(r.commit for r in own))
        lines.append(f"| {run} | {len(own)} | {commits} | {seconds:.2f} | " + " | ".join(shares) + " |")
    return "\n".join(lines)


def spectra_of(rows: Sequence[Row]) -> dict[str, int]:
    """Number of spectra of every preset, whatever the plasma and the box."""
    return {name: sum(row.instrument == name for row in rows) for name in PRESETS}


def rank_histograms(rows: Sequence[Row], file: Path) -> None:
    """Histograms of the truth's rank among the draws: flat where the posterior is calibrated.

    The band holds 99 % of the bars of exact posteriors.
    """
    runs = list(dict.fromkeys(run_name(r) for r in rows))
    bars = 10
    height = 1.3 * len(runs) + 0.8
    with picture(file, height) as figure:
        axes = figure.subplots(len(runs), len(PARAMETERS), sharex=True, squeeze=False)
        for across, run in zip(axes, runs, strict=True):
            own = [r for r in rows if run_name(r) == run]
            for axis, name in zip(across, PARAMETERS, strict=True):
                axis.hist([r.rank[name] for r in own], bins=bars, range=(0, 1), color="0.75", edgecolor="white")
                low, high = (len(own) * b for b in binomial_bounds(1 / bars, len(own)))
                axis.axhspan(low, high, color="tab:blue", alpha=0.15, lw=0)
                axis.axhline(len(own) / bars, color="tab:blue", lw=0.8)
                axis.set_ylim(0, None)
            across[0].set_ylabel(run.replace(", ", "\n"), fontsize=7)
        for axis, name in zip(axes[-1], PARAMETERS, strict=True):
            axis.set_xlabel(f"rank of the true {TITLES[name]}")
        figure.subplots_adjust(top=1.0 - 0.12 / height, bottom=0.55 / height)


def document(rows: Sequence[Row], histograms: Path, beside: Path) -> str:
    """The page docs/coverage.md."""
    missing = sum(not cell.holds for cell in cells(rows))
    short = [f"{name} ({count})" for name, count in spectra_of(rows).items() if count < LEAST_SPECTRA]
    unfinished = (
        f"Fewer than {LEAST_SPECTRA} spectra have been fitted so far for {', '.join(short)}.\n\n" if short else ""
    )
    return f"""# Coverage

How often the 68 % and 95 % intervals of simulated spectra hold the truth. Everything, nuisance terms included, is drawn
from the fit's own prior, the emission measure so that S/N is about 1-10; nothing is dropped, and flagged spectra count.
The bounds in brackets are those that 99 % of runs of exact intervals stay within; so about one cell in fifty misses
one of its two by chance. Here {missing} of {len(cells(rows))} miss.

{unfinished}{made_by()} Command: `make coverage` (`coronium evaluate coverage`, then `coronium evaluate report`).

{table(rows)}

## The sampler in these runs

{summary(rows)}

## Ranks

![Histograms of the rank of the truth among the draws]({os.path.relpath(histograms, beside.parent)})

Rank of the truth among the posterior's draws, with the band that holds 99 % of the bars of exact posteriors.
"""
