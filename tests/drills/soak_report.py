"""The table and the picture of a soak."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coronium.evaluation.picture_style import ACCENT, MODEL, picture
from coronium.evaluation.provenance import commit
from tests.drills.world import INSTRUMENT

if TYPE_CHECKING:
    from tests.drills.soak import Sample, Soak

PHYSICS = ("extraction's worker", "fitting's worker")
QUARTER = 0.25


def page(soak: Soak, minutes: float, rung: str) -> str:
    """Return the page of the soak, in Markdown."""
    p50, p95, p99 = np.percentile(soak.age, [50, 95, 99])
    early, late = _quarters(soak)
    first, last = soak.samples[0], soak.samples[-1]
    used = {name: last.cpu[name] - first.cpu.get(name, 0.0) for name in last.cpu}
    total = sum(used.values())
    other = total - sum(used.get(name, 0.0) for name in PHYSICS)
    lines = [
        "# The soak: four fifths of capacity",
        "",
        f"Written by `make soak` at commit {commit()}, on {soak.cores} cores of {platform.machine()}: "
        f"{minutes:g} minutes, one broker, PostgreSQL, one replica of each stage, the ladder up to `{rung}`, "
        f"simulated {INSTRUMENT} spectra of S/N 1 to 10 at random moments. Capacity, from a burst: "
        f"{soak.capacity:.2f} spectra/s; published: {soak.rate:.2f} spectra/s, {len(soak.age)} in all, none lost.",
        "",
        "![Age, lag, memory, descriptors and threads over the soak](../pictures/soak.png)",
        "",
        "| age from publication to the stored result | p50 | p95 | p99 |",
        "|---|--:|--:|--:|",
        f"| all | {p50:.1f} s | {p95:.1f} s | {p99:.1f} s |",
        _ages("first quarter", early),
        _ages("last quarter", late),
        "",
        f"Processor time: {total:.0f} s, {100 * total / (soak.cores * (last.seconds - first.seconds)):.0f} % of the "
        f"cores; everything that is not physics: {100 * other / total:.1f} % (target: under 10 %).",
        "",
        "| process | processor time | resident, first quarter | last quarter | descriptors | threads |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name in sorted(used, key=lambda name: -used[name]):
        lines.append(_process(name, used[name], soak.samples))
    lag = [np.mean([s.lag for s in part]) for part in _parts(soak.samples)]
    lines += ["", f"Records waiting, mean: {lag[0]:.1f} in the first quarter, {lag[1]:.1f} in the last."]
    return "\n".join(lines) + "\n"


def _parts(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    size = max(1, int(QUARTER * len(samples)))
    return samples[:size], samples[-size:]


def _quarters(soak: Soak) -> tuple[np.ndarray, np.ndarray]:
    size = max(1, int(QUARTER * len(soak.age)))
    return soak.age[:size], soak.age[-size:]


def _ages(name: str, age: np.ndarray) -> str:
    return f"| {name} | " + " | ".join(f"{value:.1f} s" for value in np.percentile(age, [50, 95, 99])) + " |"


def _process(name: str, seconds: float, samples: list[Sample]) -> str:
    early, late = _parts(samples)

    def change(of: Callable[[Sample], dict[str, int]]) -> str:
        values = [np.mean([of(s)[name] for s in part if name in of(s)] or [np.nan]) for part in (early, late)]
        return "" if np.isnan(values).any() else f"{values[0]:.0f} to {values[1]:.0f}"

    resident = [np.mean([s.resident[name] for s in part if name in s.resident] or [np.nan]) for part in (early, late)]
    memory = " | ".join("" if np.isnan(value) else f"{value:.0f} MiB" for value in resident)
    return (
        f"| {name} | {seconds:.0f} s | {memory} | {change(lambda s: s.descriptors)} | {change(lambda s: s.threads)} |"
    )


def draw(soak: Soak, file: Path) -> None:
    """Draw age, lag, memory, descriptors and threads over time."""
    minutes = np.array([s.seconds for s in soak.samples]) / 60
    with picture(file, height=4.6) as figure:
        axes = figure.subplots(2, 2, sharex=True)
        age, lag, memory, handles = axes.ravel()
        age.plot(soak.published / 60, soak.age, ".", ms=2, color=MODEL)
        age.set(ylabel="age of a result (s)", ylim=(0, None))
        lag.plot(minutes, [s.lag for s in soak.samples], color=MODEL)
        lag.set(ylabel="records waiting", ylim=(0, None))
        last = soak.samples[-1].resident
        for number, name in enumerate(sorted(last, key=lambda name: -last[name])):
            resident = [s.resident.get(name, np.nan) for s in soak.samples]
            memory.plot(minutes, resident, label=name, ls=("-", "--", ":")[number % 3])
        memory.set(ylabel="resident memory (MiB)", xlabel="minutes", yscale="log")
        memory.legend(fontsize=5.5, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.3))
        for label, color, of in (
            ("descriptors", MODEL, lambda s: s.descriptors),
            ("threads", ACCENT, lambda s: s.threads),
        ):
            handles.plot(minutes, [sum(of(s).values()) for s in soak.samples], color=color, label=label)
        handles.set(ylabel="of all processes", xlabel="minutes", ylim=(0, None))
        handles.legend()
        figure.subplots_adjust(hspace=0.34, wspace=0.22, left=0.08, right=0.98, bottom=0.1, top=0.98)
