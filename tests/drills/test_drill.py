"""Every fault once, while spectra are on their way: each has exactly one outcome. `make drill` does each five times."""

from pathlib import Path

import pytest

from tests.drills.drill import drill
from tests.kafka.cluster import kafka_home

SPECTRA = 500


@pytest.mark.timeout(900)
def test_every_spectrum_has_exactly_one_outcome_whatever_ends_meanwhile(tmp_path: Path) -> None:
    kafka_home()
    strikes = list(drill(tmp_path / "world", tmp_path / "strikes.jsonl", SPECTRA, 1))
    for strike in strikes:
        print(f"{strike.fault}: {strike.in_flight} in flight, {strike.recovery_seconds:.1f} s from its beginning")
    assert [strike.fault for strike in strikes if not strike.whole] == []
    assert sum(strike.set_aside for strike in strikes) == 0
    # A fault that meets nothing proves nothing.
    assert [strike.fault for strike in strikes if strike.in_flight == 0] == []
