"""What is set aside is kept whole; too much of our own making stops the stage."""

import pytest

from coronium.contract.limits import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES, MEBIBYTE
from coronium.contract.topics import DEAD_LETTERS, StageName
from coronium.runtime.dead_letters import FailureRate, dead_letter
from coronium.runtime.settings import LoopSettings
from coronium.runtime.stage import Incoming
from coronium.v1.dead_letter_pb2 import DEAD_LETTER_REASON_CRASH, DeadLetter
from tests.peak_memory import rise


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate(clock: Clock) -> FailureRate:
    return FailureRate(LoopSettings(failure_rate=0.2, failure_minimum=100, failure_window_seconds=300), clock)


def count(rate: FailureRate, failures: int, successes: int) -> None:
    for failed in [True] * failures + [False] * successes:
        rate.count(failed)


def test_failures_above_the_rate_stop_the_stage(rate: FailureRate) -> None:
    count(rate, failures=21, successes=79)
    assert rate.exceeded


def test_failures_at_the_rate_do_not(rate: FailureRate) -> None:
    count(rate, failures=20, successes=80)
    assert not rate.exceeded


def test_few_messages_never_do(rate: FailureRate) -> None:
    count(rate, failures=99, successes=0)
    assert not rate.exceeded


def test_failures_are_forgotten_after_the_window(rate: FailureRate, clock: Clock) -> None:
    count(rate, failures=100, successes=0)
    clock.now = 301.0
    count(rate, failures=0, successes=100)
    assert not rate.exceeded


def test_what_is_kept_of_a_stream_without_failures_does_not_grow(rate: FailureRate, clock: Clock) -> None:
    with rise() as memory:
        for number in range(200_000):
            clock.now = number / 100
            rate.count(False)
    assert memory.size < 4 * MEBIBYTE
    # Nor did the records of the window go: a fifth of 30 000.
    count(rate, failures=7400, successes=0)
    assert not rate.exceeded
    count(rate, failures=200, successes=0)
    assert rate.exceeded


def test_a_resume_begins_anew(rate: FailureRate) -> None:
    count(rate, failures=100, successes=0)
    rate.reset()
    count(rate, failures=1, successes=0)
    assert not rate.exceeded


def test_the_largest_record_fits_into_a_dead_letter_whatever_its_headers() -> None:
    incoming = Incoming(
        topic="coronium.spectra.v1",
        partition=3,
        offset=7,
        key=b"target",
        value=b"x" * (MAX_RECORD_BYTES - 6),
        headers={"somebody's": b"y" * 5_000_000},
        timestamp=0.0,
    )
    outgoing = dead_letter(StageName.INGESTION, incoming, DEAD_LETTER_REASON_CRASH, "why " * 1000, attempts=3)
    assert outgoing.topic is DEAD_LETTERS[StageName.INGESTION]
    assert len(outgoing.value or b"") < MAX_DEAD_LETTER_BYTES
    letter = DeadLetter.FromString(outgoing.value or b"")
    assert letter.value == incoming.value
    assert (letter.source_partition, letter.source_offset, letter.attempts) == (3, 7, 3)
