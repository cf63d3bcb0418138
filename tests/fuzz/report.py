"""What a run of the fuzzer found, for a terminal and for docs/."""

from __future__ import annotations

from collections.abc import Sequence

from coronium.evaluation.provenance import made_by
from tests.fuzz.fuzzer import MEBIBYTE, Tally
from tests.fuzz.guided import GUIDED


def table(tallies: Sequence[Tally]) -> str:
    """Return what a run found, a line each."""
    head = (
        f"{'target':24}{'inputs':>9}{'refused':>9}{'seconds':>9}{'slowest':>9}{'findings':>9}{'MiB from':>9}{'to':>6}"
    )
    rows = [
        f"{t.target:24}{t.inputs:9}{t.refused:9}{t.seconds:9.1f}{t.slowest:9.3f}{len(t.findings):9}"
        f"{t.memory_begin // MEBIBYTE:9}{t.memory_end // MEBIBYTE:6}"
        for t in tallies
    ]
    total = (
        f"{'all':24}{sum(t.inputs for t in tallies):9}{sum(t.refused for t in tallies):9}"
        f"{sum(t.seconds for t in tallies):9.1f}{max(t.slowest for t in tallies):9.3f}"
        f"{sum(len(t.findings) for t in tallies):9}"
    )
    found = [f"{f.name}: {f.problem} at {f.where}\n  {f.data[:200]!r}" for t in tallies for f in t.findings]
    return "\n".join([head, *rows, total, *found])


def page(tallies: Sequence[Tally], seed: int) -> str:
    """Return the page of a run, in Markdown."""
    plain = [tally for tally in tallies if not tally.target.endswith(GUIDED)]
    chosen = {tally.target.removesuffix(GUIDED): tally for tally in tallies if tally.target.endswith(GUIDED)}
    total = _added("**all**", plain), _added("", list(chosen.values()))
    rows = [_row(tally, chosen.get(tally.target)) for tally in plain]
    seconds = sum(tally.seconds for tally in tallies)
    return "\n".join(
        [
            "# What no one should send, sent",
            "",
            f"Written by `make fuzz` (seed {seed}, {seconds / 60:.0f} minutes). {made_by()} *Findings*: inputs that "
            "did anything but pass or be refused. *Grew*: memory of the process from the first twentieth of the "
            "inputs to the end. *By coverage*: inputs that atheris chose by what code they reach, in a process for "
            "each target.",
            "",
            "| target | inputs | refused | slowest (s) | grew (MiB) | findings | by coverage | refused | findings |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            *rows,
            _row(*total),
            "",
        ]
    )


def _row(plain: Tally, chosen: Tally | None) -> str:
    grew = round((plain.memory_end - plain.memory_begin) / MEBIBYTE) if plain.memory_end else ""
    own = [plain.target, plain.inputs, plain.refused, f"{plain.slowest:.2f}", grew, len(plain.findings)]
    others = [chosen.inputs, chosen.refused, len(chosen.findings)] if chosen else ["", "", ""]
    return f"| {' | '.join(map(str, own + others))} |"


def _added(name: str, tallies: list[Tally]) -> Tally:
    return Tally(
        name,
        sum(tally.inputs for tally in tallies),
        sum(tally.refused for tally in tallies),
        slowest=max((tally.slowest for tally in tallies), default=0.0),
        findings=[finding for tally in tallies for finding in tally.findings],
    )
