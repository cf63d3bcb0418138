"""A power cut at any step of a batch: what is on the broker then, and what it comes to."""

from collections import Counter
from pathlib import Path

import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.stream.broker import Stream
from tests.stream.crashing_service import STEPS
from tests.stream.service import Service, eventually

STAGE = StageName.EXTRACTION
COUNT = 4

# Of the batch's four results, those on the broker when the power fails, and whether their offsets are committed.
LEFT = {
    "before the mark": (0, False),
    "before the work": (0, False),
    "before producing": (0, False),
    "half produced": (2, False),
    "before the commit": (4, False),
    "committed": (4, True),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_at_any_step_loses_nothing_and_commits_nothing_too_early(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stream.publish(SPECTRA, [(b"target", str(n).encode()) for n in range(COUNT)], partition=0)
    monkeypatch.setenv("CRASH_AT", step)
    first = Service(stream, tmp_path / "first.log", "tests.stream.crashing_service")
    assert first.process.wait(40) == 137, first.log.read_text()
    produced, committed = LEFT[step]
    assert len(stream.read(OBSERVATIONS)) == produced
    assert stream.committed(STAGE, SPECTRA) == ({0: COUNT} if committed else {})

    second = Service(stream, tmp_path / "second.log")
    try:
        eventually(lambda: stream.committed(STAGE, SPECTRA) == {0: COUNT}, 40, "the commit")
        squares = Counter(int(value or b"") for _, value in stream.read(OBSERVATIONS))
        assert squares.keys() == {n * n for n in range(COUNT)}
        # Done twice is what was produced and not committed: the store keeps one of each.
        assert squares.total() == COUNT + (0 if committed else produced)
        assert not stream.dead_letters(STAGE)
    finally:
        second.kill()
