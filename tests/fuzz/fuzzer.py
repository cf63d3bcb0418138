"""Feed mutants to targets, and write down what they do wrong, how long they take and what they keep."""

from __future__ import annotations

import faulthandler
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.target import REFUSED, Target, seeded

MEBIBYTE = 1024 * 1024
WARM_SHARE = 0.05
"""The first inputs fill caches and load libraries; memory is compared from there on."""


class Hang(BaseException):
    """An input took too long. No `Exception`: nobody may take it for the fault of a file."""


@dataclass(frozen=True)
class Finding:
    """An input that did what no input may; `python -m tests.fuzz --replay TARGET:SEED:INDEX` does it again."""

    target: str
    seed: int
    index: int
    problem: str
    where: str
    data: bytes

    @property
    def name(self) -> str:
        """What `--replay` takes."""
        return f"{self.target}:{self.seed}:{self.index}"


@dataclass
class Tally:
    """What became of the inputs of one target.

    Attributes
    ----------
    memory_begin, memory_end : int
        Resident bytes of this process after the first inputs, and after the last.
    """

    target: str
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    memory_begin: int = 0
    memory_end: int = 0
    findings: list[Finding] = field(default_factory=list)


def fuzz(target: Target, inputs: int, seed: int, first: int = 0) -> Tally:
    """Feed inputs `first` to `first + inputs - 1` of a seed to a target; findings of one kind are kept once."""
    tally = Tally(target.name)
    known: set[tuple[str, str]] = set()
    for valid in target.corpus:
        # What is loaded when it is first needed is no memory kept.
        target.run(valid)
    warm = first + max(1, int(WARM_SHARE * inputs))
    began = time.monotonic()
    for index in range(first, first + inputs):
        data = target.draw(seeded(target.name, seed, index))
        if index == warm:
            tally.memory_begin = resident()
        begun = time.monotonic()
        try:
            with _limited(target.seconds):
                tally.refused += target.run(data) == REFUSED
        except (Exception, Hang) as error:
            finding = _finding(target, seed, index, error, data)
            if (kind := (finding.problem.split("(")[0], finding.where)) not in known:
                known.add(kind)
                tally.findings.append(finding)
        tally.slowest = max(tally.slowest, time.monotonic() - begun)
        tally.inputs += 1
    tally.seconds = time.monotonic() - began
    tally.memory_end = resident()
    tally.memory_begin = tally.memory_begin or tally.memory_end
    return tally


def shares(targets: Sequence[Target], inputs: int) -> Iterator[tuple[Target, int]]:
    """Deal inputs to targets by their weights, at least one each."""
    total = sum(target.weight for target in targets)
    for target in targets:
        yield target, max(1, round(inputs * target.weight / total))


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _finding(target: Target, seed: int, index: int, error: BaseException, data: bytes) -> Finding:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return Finding(target.name, seed, index, f"{type(error).__name__}({error})"[:300], where, data)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `Hang` in what takes too long; end the process where that does not help."""

    def late(*_: object) -> None:
        raise Hang(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
