"""Spectra that take the whole service with them are set aside after their recorded attempts; good ones are not."""

import time
from collections.abc import Callable

import psutil
import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.v1 import dead_letter_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service

STAGE = StageName.EXTRACTION
POISON = (b"murder", b"murder:hang", b"murder:memory")
GOOD = 100


@pytest.mark.timeout(200)
def test_poison_that_kills_parent_and_worker_is_dead_lettered_and_a_hundred_neighbours_are_finished(
    stream: Stream, start_service: Callable[..., Service]
) -> None:
    values = [str(n).encode() for n in range(GOOD)]
    for place, poison in zip((20, 50, 80), POISON, strict=True):
        values.insert(place, poison)
    stream.publish(SPECTRA, [(value, value) for value in values])

    deaths = 0
    service, workers = start_service(), set()
    until = time.monotonic() + 180
    while sum(stream.committed(STAGE, SPECTRA).values()) < len(values):
        assert time.monotonic() < until, "the stream did not end"
        time.sleep(0.3)
        if service.process.poll() is None:
            workers |= set(psutil.Process(service.process.pid).children())
        else:
            assert service.process.returncode == -9
            deaths += 1
            service = start_service()

    # Once with their batches, which the others of a partition share, then three times alone.
    assert 3 * 3 < deaths <= 4 * 3
    letters = stream.dead_letters(STAGE)
    assert sorted(letter.value for letter in letters) == sorted(POISON)
    assert {(letter.reason, letter.attempts) for letter in letters} == {(dead_letter_pb2.DEAD_LETTER_REASON_CRASH, 3)}
    squares = {int(value or b"") for _, value in stream.read(OBSERVATIONS)}
    assert squares == {n * n for n in range(GOOD)}
    own = set(psutil.Process(service.process.pid).children())
    assert not [worker for worker in workers - own if worker.is_running() and worker.status() != "zombie"]
