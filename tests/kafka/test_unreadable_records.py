"""What no client library would send, and any stranger can: the services read on behind it, and nothing is lost.

A broker checks a batch's length, sum and count. What its records hold, and how much they unpack to, it leaves to
whoever reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from coronium.contract.limits import MAX_UNPACKED_BYTES, MEBIBYTE
from coronium.contract.topics import ATTEMPTS, CONTROL, OBSERVATIONS, SPECTRA, StageName
from coronium.v1 import control_pb2, control_pb2_grpc, dead_letter_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.spectra import good_spectrum

MALFORMED, TOO_LARGE = dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED, dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE


@pytest.fixture
def ingestion(stream: Stream, tmp_path: Path) -> Iterator[Service]:
    service = Service(stream, tmp_path / "ingestion.log", "coronium.ingestion")
    yield service
    if service.process.poll() is None:
        assert service.terminate() == 0, service.log.read_text()


def send(
    stream: Stream,
    *records: tuple[bytes, bytes],
    compression: str | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Produce to one partition and wait until the broker has all."""
    producer = KafkaProducer(
        bootstrap_servers=stream.address,
        enable_idempotence=False,
        compression_type=compression,
        max_request_size=2**31 - 1,
        linger_ms=200,
    )
    sent = [
        producer.send(stream.name(SPECTRA), value, key=key, headers=list(headers), partition=0)
        for key, value in records
    ]
    for acknowledgement in sent:
        acknowledgement.get(timeout=60)
    producer.close()


def good(target: str) -> tuple[bytes, bytes]:
    return target.encode(), good_spectrum(target).SerializeToString()


def observed(stream: Stream) -> set[bytes]:
    return {key for key, _ in stream.read(OBSERVATIONS) if key}


def letters(stream: Stream, count: int, seconds: float = 60.0) -> list[dead_letter_pb2.DeadLetter]:
    def found() -> list[dead_letter_pb2.DeadLetter]:
        present = stream.dead_letters(StageName.INGESTION)
        return present if len(present) >= count else []

    return eventually(found, seconds, f"{count} dead letters")


def reads_on(stream: Stream, ingestion: Service, target: str = "sun/behind") -> None:
    """Show that the service still takes what comes after it, and has committed everything."""
    send(stream, good(target))
    eventually(lambda: target.encode() in observed(stream), 60, "the observation behind")
    eventually(lambda: committed(stream) == end(stream), 30, "the commit of everything")
    assert ingestion.process.poll() is None, ingestion.log.read_text()


def committed(stream: Stream) -> int:
    return stream.committed(StageName.INGESTION, SPECTRA).get(0, 0)


def end(stream: Stream) -> int:
    consumer = KafkaConsumer(bootstrap_servers=stream.address, group_id=None)
    partition = TopicPartition(stream.name(SPECTRA), 0)
    try:
        return consumer.end_offsets([partition])[partition]
    finally:
        consumer.close()


class BrokenText(str):
    """A header's name that is not UTF-8 on the wire."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe name"


def test_a_header_whose_name_is_no_text_harms_nobody(stream: Stream, ingestion: Service) -> None:
    send(stream, good("sun/before"), good("sun/strange"), headers=[(BrokenText("x"), b"value")])
    eventually(lambda: {b"sun/before", b"sun/strange"} <= observed(stream), 60, "both observations")
    reads_on(stream, ingestion)


def test_a_key_larger_than_a_dead_letter_may_hold_twice_is_a_dead_letter(stream: Stream, ingestion: Service) -> None:
    key = b"k" * (9 * MEBIBYTE)
    send(stream, (key, b"\xff no spectrum"))
    (letter,) = letters(stream, 1)
    assert (letter.reason, letter.key, letter.value) == (TOO_LARGE, key, b"\xff no spectrum")
    reads_on(stream, ingestion)


def test_a_gzip_bomb_is_one_dead_letter_with_its_bytes_and_takes_no_memory(stream: Stream, ingestion: Service) -> None:
    ingestion.wait_until_ready()
    reads_on(stream, ingestion, "sun/first")
    process = psutil.Process(ingestion.process.pid)
    before = peak(process)
    send(stream, (b"bomb", bytes(400 * MEBIBYTE)), compression="gzip")
    (letter,) = letters(stream, 1, 120)
    assert letter.reason == TOO_LARGE
    assert str(MAX_UNPACKED_BYTES) in letter.detail
    assert len(letter.value) < 2 * MEBIBYTE
    reads_on(stream, ingestion)
    # The unpacked parts, and once more all of them as one: far less than there is in it.
    assert peak(process) - before < 3 * MAX_UNPACKED_BYTES


def peak(process: psutil.Process) -> int:
    """Most resident memory of a process so far, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_of_every_compression_are_read(stream: Stream, ingestion: Service, compression: str) -> None:
    values = [b"no spectrum %d" % number for number in range(20)]
    async with AIOKafkaProducer(
        bootstrap_servers=stream.address, compression_type=compression, linger_ms=100
    ) as producer:
        sent = [await producer.send(stream.name(SPECTRA), value, partition=0) for value in values]
        await asyncio.gather(*sent)
    found = letters(stream, 20)
    assert sorted(letter.value for letter in found) == sorted(values)
    assert {letter.reason for letter in found} == {MALFORMED}


@pytest.mark.parametrize("size", [13 * MEBIBYTE + 1, 20 * MEBIBYTE])
def test_a_record_that_unpacks_to_more_than_a_topic_takes_is_a_dead_letter_and_its_neighbours_pass(
    stream: Stream, ingestion: Service, size: int
) -> None:
    send(stream, good("sun/a"), (b"large", bytes(size)), good("sun/b"), compression="gzip")
    (letter,) = letters(stream, 1)
    assert letter.reason == TOO_LARGE
    assert len(letter.value) < MEBIBYTE
    eventually(lambda: {b"sun/a", b"sun/b"} <= observed(stream), 60, "the neighbours")
    reads_on(stream, ingestion)


def test_nonsense_in_the_topics_that_steer_a_stage_is_passed_over(
    stream: Stream, ingestion: Service, tmp_path: Path
) -> None:
    worst = control_pb2.DesiredState(stage="ingestion", generation=2**64 - 1, log_level="shout", paused=True)
    key = f"ingestion/{stream.name(SPECTRA)}/0".encode()
    stream.publish(
        CONTROL, [(b"ingestion", b"\xff"), (b"ingestion", worst.SerializeToString()), (b"ingestion/x", b"\xff")]
    )
    stream.publish(ATTEMPTS, [(key, b"\xff\xff"), (key + b"/0", b"no number")])
    ingestion.wait_until_ready()
    reads_on(stream, ingestion)
    stream.publish(CONTROL, [(b"ingestion", b"\xff"), (b"ingestion", worst.SerializeToString())])
    with ingestion.channel() as channel:
        service = control_pb2_grpc.ControlServiceStub(channel)
        assert service.Pause(control_pb2.PauseRequest(), timeout=30).desired.paused
        assert not service.Resume(control_pb2.ResumeRequest(), timeout=30).desired.paused
        assert len(service.Status(control_pb2.StatusRequest(), timeout=30).replicas) == 1
    reads_on(stream, ingestion, "sun/later")
