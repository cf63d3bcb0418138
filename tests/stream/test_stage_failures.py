"""What goes wrong with one record stays with that record."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium.contract.limits import MAX_SPECTRUM_BYTES
from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.admin import create_topics
from coronium.v1 import control_pb2, control_pb2_grpc, dead_letter_pb2
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]
LARGE = b"not a number " * (MAX_SPECTRUM_BYTES // 13)
RECORDS = [b"1", b"abort", b"2", b"3", b"hang", b"4", LARGE, b"raise", b"5", b"six", b"memory", b"7"]


@pytest.fixture(scope="module")
def aftermath(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stream, Service]]:
    """A stream whose records do everything wrong, and the service that went through them."""
    stream = Stream(broker, "failures")
    create_topics(stream.kafka, partitions=PARTITIONS)
    stream.publish(SPECTRA, [(b"target", value) for value in RECORDS], partition=0)
    log = tmp_path_factory.mktemp("failures") / "service.log"
    service = Service(stream, log, LOOP__DEADLINE_SECONDS="1.5", WORKER__MEMORY_MIB="300")
    try:
        eventually(lambda: stream.committed(STAGE, SPECTRA).get(0) == len(RECORDS), 40, "the end")
        yield stream, service
    finally:
        service.kill()


def letter_of(stream: Stream, value: bytes) -> dead_letter_pb2.DeadLetter:
    (letter,) = [letter for letter in stream.dead_letters(STAGE) if letter.value == value]
    return letter


def test_the_neighbours_of_bad_records_complete(aftermath: tuple[Stream, Service]) -> None:
    stream, _ = aftermath
    assert sorted(int(value or b"") for _, value in stream.read(OBSERVATIONS)) == [1, 4, 9, 16, 25, 49]


@pytest.mark.parametrize(
    ("value", "reason", "attempts", "detail"),
    [
        (b"abort", dead_letter_pb2.DEAD_LETTER_REASON_CRASH, 3, "exit code -6"),
        (b"hang", dead_letter_pb2.DEAD_LETTER_REASON_DEADLINE, 3, "longer than 1.5 s"),
        (b"memory", dead_letter_pb2.DEAD_LETTER_REASON_CRASH, 3, "300 MiB"),
        (b"raise", dead_letter_pb2.DEAD_LETTER_REASON_INTERNAL, 3, "nobody expected this"),
        (b"six", dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED, 1, "'six' is no number"),
    ],
)
def test_a_bad_record_is_a_dead_letter_with_its_reason(
    aftermath: tuple[Stream, Service],
    value: bytes,
    reason: dead_letter_pb2.DeadLetterReason,
    attempts: int,
    detail: str,
) -> None:
    stream, _ = aftermath
    letter = letter_of(stream, value)
    assert (letter.reason, letter.attempts) == (reason, attempts)
    assert detail in letter.detail
    assert letter.source_topic == stream.name(SPECTRA)
    assert (letter.source_partition, letter.source_offset) == (0, RECORDS.index(value))
    assert letter.key == b"target"


def test_a_large_malformed_record_is_kept_whole(aftermath: tuple[Stream, Service]) -> None:
    stream, _ = aftermath
    assert letter_of(stream, LARGE).source_offset == RECORDS.index(LARGE)


def test_the_service_counts_what_happened(aftermath: tuple[Stream, Service]) -> None:
    _, service = aftermath
    page = service.metrics()
    for line in [
        'coronium_messages_rejected_total{reason="crash"} 2.0',
        'coronium_messages_rejected_total{reason="malformed"} 2.0',
        'coronium_messages_out_total{topic="observations.v1"} 6.0',
        "coronium_messages_done_total 12.0",
    ]:
        assert line in page


def test_what_is_away_for_a_while_is_waited_for(stream: Stream, start_service: Start, tmp_path: Path) -> None:
    file = tmp_path / "file"
    stream.publish(SPECTRA, [(b"target", f"away:{file}:3".encode())], partition=0)
    service = start_service()
    eventually(lambda: len(service.said("put off")) >= 2, 20, "the second try")
    assert stream.committed(STAGE, SPECTRA) == {}
    file.touch()
    eventually(lambda: stream.committed(STAGE, SPECTRA).get(0) == 1, 10, "the commit")
    assert stream.dead_letters(STAGE) == []
    assert stream.read(OBSERVATIONS) == [(b"target", b"9")]


def test_our_own_failures_above_a_rate_stop_the_stage_until_it_is_put_right_and_bad_input_does_not(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    repair = tmp_path / "repair"
    bad, ours = [b"malformed"] * 8, [f"broken:{repair}:{n}".encode() for n in range(8)]
    stream.publish(SPECTRA, [(b"target", value) for value in [*bad, *ours]], partition=0)
    service = start_service(LOOP__FAILURE_MINIMUM="4", LOOP__FAILURE_RATE="0.25", LOOP__ATTEMPTS="1")
    service.wait_until_ready()
    eventually(lambda: "coronium_stopped_by_failures 1.0" in service.metrics(), 20, "the stop")
    # 8 bad, then 2 of 10 are within a quarter; the third, of 11, is not.
    assert stream.committed(STAGE, SPECTRA) == {0: 10}
    assert len(stream.dead_letters(STAGE)) == 10
    repair.touch()
    with service.channel() as channel:
        control_pb2_grpc.ControlServiceStub(channel).Resume(control_pb2.ResumeRequest(), timeout=5)
    eventually(lambda: stream.committed(STAGE, SPECTRA) == {0: 16}, 10, "the rest")
    assert len(stream.dead_letters(STAGE)) == 10
    assert sorted(int(value or b"") for _, value in stream.read(OBSERVATIONS)) == [4, 9, 16, 25, 36, 49]
