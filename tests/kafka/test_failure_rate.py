"""With the numbers that services run with: our own failures stop a stage, however much bad input does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(240)

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]


def publish(stream: Stream, *values: str) -> None:
    stream.publish(SPECTRA, [(b"target", value.encode()) for value in values], partition=0)


def committed(stream: Stream) -> int:
    return stream.committed(STAGE, SPECTRA).get(0, 0)


def test_a_flood_of_bad_input_stops_nothing(stream: Stream, start_service: Start) -> None:
    publish(stream, *["bad"] * 300)
    service = start_service().wait_until_ready()
    eventually(lambda: committed(stream) == 300, 60, "the flood")
    publish(stream, "7")
    eventually(lambda: stream.read(OBSERVATIONS) == [(b"target", b"49")], 30, "what comes after it")
    assert len(stream.dead_letters(STAGE)) == 300
    page = service.metrics()
    assert "coronium_stopped_by_failures 0.0" in page
    assert "coronium_paused 0.0" in page
    assert 'coronium_messages_rejected_total{reason="malformed"} 300.0' in page


def test_more_than_a_fifth_of_a_hundred_failures_of_our_own_stop_the_stage(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    repair = tmp_path / "repair"
    publish(stream, *(str(n) for n in range(80)), *(f"broken:{repair}:{n}" for n in range(80, 120)))
    service = start_service().wait_until_ready()
    eventually(lambda: "coronium_stopped_by_failures 1.0" in service.metrics(), 90, "the stop")
    # 20 of 100 are a fifth; the 21st of 101 is more, and nothing of it is settled.
    assert committed(stream) == 100
    assert len(stream.dead_letters(STAGE)) == 20
    assert 'coronium_messages_rejected_total{reason="internal"} 20.0' in service.metrics()
    eventually(lambda: "coronium_paused 1.0" in service.metrics(), 15, "the pause that all replicas are told of")
