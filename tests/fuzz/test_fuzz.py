"""Two hundred thousand inputs that no one should send: each is used or refused, and none crashes, hangs or stays.

`make fuzz` feeds a million, some of them chosen by what code they reach. docs/bad-input.md says how to see one again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests._shared import REPOSITORY
from tests.fuzz.fuzzer import MEBIBYTE

INPUTS = 200_000
PROCESSES = 2
SECONDS = 1200
MOST_GROWTH = 48 * MEBIBYTE
"""Of one target between the twentieth part of its inputs and the last. A hundred thousand inputs that each left a
kilobyte behind would be twice as much; an allocator that keeps what it once held takes some ten."""


@pytest.fixture(scope="module")
def tallies() -> list[dict[str, Any]]:
    """Feed all targets, in two processes side by side."""
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "tests.fuzz", "--json"),
                *("--inputs", str(INPUTS), "--part", f"{part + 1}/{PROCESSES}"),
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in range(PROCESSES)
    ]
    found: list[dict[str, Any]] = []
    for process in running:
        out, said = process.communicate(timeout=SECONDS)
        assert out, f"a process ended with {process.returncode}: {said[-3000:]}"
        found += json.loads(out)
    return found


@pytest.mark.timeout(SECONDS)
def test_no_input_does_anything_but_pass_or_be_refused(tallies: list[dict[str, Any]]) -> None:
    findings = [finding for tally in tallies for finding in tally["findings"]]
    assert not findings, json.dumps(findings, indent=1)[:5000]
    assert sum(tally["inputs"] for tally in tallies) >= 0.99 * INPUTS


def test_every_target_takes_some_inputs_and_refuses_some(tallies: list[dict[str, Any]]) -> None:
    # A mutator that only makes nonsense, or a target that takes everything, would prove nothing.
    for tally in tallies:
        if tally["inputs"] > 100:
            assert 0 < tally["refused"] < tally["inputs"], tally["target"]


def test_no_target_keeps_memory(tallies: list[dict[str, Any]]) -> None:
    growth = {tally["target"]: tally["memory_end"] - tally["memory_begin"] for tally in tallies}
    assert not {name: grown for name, grown in growth.items() if grown >= MOST_GROWTH}


def test_the_same_seed_and_index_give_the_same_bytes_in_another_process() -> None:
    script = """
import hashlib
from tests.fuzz import batches, decoders
from tests.fuzz.rest import drawn_request
from tests.fuzz.target import seeded

digest = hashlib.sha256()
draws = {target.name: target.draw for target in (*decoders.targets(), *batches.targets())} | {"rest": drawn_request}
for name, draw in draws.items():
    for index in range(300):
        digest.update(draw(seeded(name, 5, index)))
print(digest.hexdigest())
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    ]
    assert said[0].strip()
    assert said == said[:1] * 3
