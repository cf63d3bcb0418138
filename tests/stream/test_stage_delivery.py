"""Nothing is lost and nothing is committed too early, whatever ends a stage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.v1 import dead_letter_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]


def publish(stream: Stream, *values: object) -> None:
    stream.publish(SPECTRA, [(b"target", str(value).encode()) for value in values], partition=0)


def squares(stream: Stream) -> list[int]:
    return sorted(int(value) for _, value in stream.read(OBSERVATIONS) if value is not None)


def committed(stream: Stream) -> int:
    return sum(stream.committed(STAGE, SPECTRA).values())


def test_records_go_through_and_their_offsets_are_committed(stream: Stream, start_service: Start) -> None:
    stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in range(20)])
    service = start_service()
    eventually(lambda: committed(stream) == 20, 20, "the commit")
    assert squares(stream) == [n * n for n in range(20)]
    assert service.terminate() == 0


def test_a_kill_in_the_middle_of_a_batch_commits_nothing_of_it_and_loses_nothing(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, 2)
    service = start_service()
    eventually(lambda: committed(stream) == 2, 20, "the first commit")
    publish(stream, 3, f"wait:{gate}:4", 5)
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 5, 10, "the second batch")
    service.kill()
    assert committed(stream) == 2
    assert squares(stream) == [1, 4]
    gate.touch()
    start_service()
    eventually(lambda: committed(stream) == 5, 20, "the rest")
    assert squares(stream) == [1, 4, 9, 16, 25]


def test_sigterm_in_the_middle_of_a_batch_finishes_it_and_leaves_the_rest_to_others(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, 2, f"wait:{gate}:3", 4, 5, 6)
    service = start_service()
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 4, 20, "the first batch")
    service.process.terminate()
    eventually(lambda: service.said("stopping"), 5, "the stop")
    assert committed(stream) == 0
    gate.touch()
    assert service.process.wait(10) == 0
    assert squares(stream) == [1, 4, 9, 16]
    assert committed(stream) == 4
    start_service()
    eventually(lambda: committed(stream) == 6, 20, "the rest")
    assert squares(stream) == [1, 4, 9, 16, 25, 36]


def test_an_error_nobody_expected_ends_the_process_with_nothing_committed(stream: Stream, start_service: Start) -> None:
    publish(stream, 1, "unsendable", 3)
    service = start_service()
    assert service.process.wait(20) == 1
    assert committed(stream) == 0
    assert service.said("the loop failed; nothing of its batch is committed")


@pytest.mark.parametrize("attempts", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_record_that_kills_the_whole_service_is_set_aside_after_its_recorded_attempts(
    stream: Stream, start_service: Start, attempts: int
) -> None:
    publish(stream, 1, "murder", 3)
    # The first time it dies in its batch, then alone.
    for _ in range(1 + attempts):
        assert start_service(LOOP__ATTEMPTS=str(attempts)).process.wait(20) == -9
    start_service(LOOP__ATTEMPTS=str(attempts))
    eventually(lambda: committed(stream) == 3, 20, "the end")
    (letter,) = stream.dead_letters(STAGE)
    assert letter.reason == dead_letter_pb2.DEAD_LETTER_REASON_CRASH
    assert (letter.value, letter.source_offset, letter.attempts) == (b"murder", 1, attempts)
    assert squares(stream) == [1, 9]


def test_a_second_replica_takes_half_only_after_the_first_has_finished_its_batch(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, f"wait:{gate}:2")
    first = start_service()
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 2, 20, "the first batch")
    second = start_service().wait_until_ready()
    stream.publish(SPECTRA, [(b"a", b"3"), (b"b", b"4")], partition=1)
    assert squares(stream) == []
    gate.touch()
    eventually(lambda: committed(stream) == 4, 20, "the end")
    assert squares(stream) == [1, 4, 9, 16]
    assert not first.said("a batch was given up, to be worked on again")
    for replica in (first, second):
        eventually(lambda replica=replica: "coronium_partitions 1.0" in replica.metrics(), 5, "one partition")
