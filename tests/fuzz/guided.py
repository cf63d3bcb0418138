"""Run the coverage-guided fuzzer, one process for each target, and take down what it says."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from tests.fuzz.fuzzer import Finding, Tally, shares
from tests.fuzz.target import Target

UNGUIDED = ("file-spectra.h5", "hdf5-contents", "eis-raster", "commands", "rest", "grpc")
"""Targets whose bytes are not what reaches their code: mutants alone are fed to them."""

GUIDED = " (guided)"
"""Ends the names of what was guided."""

SECONDS = 3600.0
REPORT = "coronium-fuzz: "
"""Before the line in which a run says what it did."""


def guided(targets: Sequence[Target], inputs: int, seed: int) -> Iterator[Tally]:
    """Fuzz targets by coverage; nothing where atheris is not installed, which has wheels for Linux alone.

    Parameters
    ----------
    targets : sequence of Target
    inputs : int
        Of all together.
    seed : int
    """
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: no input is chosen by coverage", file=sys.stderr)
        return
    for target, count in shares([one for one in targets if one.name not in UNGUIDED], inputs):
        yield _run(target, count, seed)


def _run(target: Target, inputs: int, seed: int) -> Tally:
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.atheris_targets", target.name]
    began = time.monotonic()
    tally = Tally(f"{target.name}{GUIDED}")
    # The process ends without tidying up, and leaves an input that it stumbled over where it stands.
    with tempfile.TemporaryDirectory(prefix="coronium-guided-") as folder:
        done = subprocess.run(
            [*command, "--inputs", str(inputs), "--seed", str(seed), "--folder", folder],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env={**os.environ, "TMPDIR": folder},
        )
        for line in done.stdout.splitlines():
            if line.startswith(REPORT):
                told = json.loads(line.removeprefix(REPORT))
                tally.inputs, tally.refused = told["inputs"], told["refused"]
                tally.memory_begin, tally.memory_end = told["memory"]
        if done.returncode or tally.inputs < inputs:
            tally.findings.append(_finding(target, seed, done.stdout + done.stderr, folder))
    tally.seconds = time.monotonic() - began
    return tally


def _finding(target: Target, seed: int, said: str, folder: str) -> Finding:
    data = b""
    for name in sorted(os.listdir(folder)):
        if name.startswith(("crash-", "timeout-", "oom-", "leak-")):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
    return Finding(target.name, seed, -1, said[-1500:], "atheris", data)
