"""What is too large, too many, or packed too well is refused, at the door where it comes in."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import h5py
import httpx
import numpy as np
import pytest
from astropy.io import fits
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from coronium.contract import limits
from coronium.contract.headers import Headers, envelope_problem
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS, MAX_PARTS, MAX_STREAM_SPECTRA, MEBIBYTE
from coronium.contract.topics import StageName
from coronium.contract.wire import TooManyParts, count_parts, read_message
from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings
from coronium.ingestion.checks import parse
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.physics.readers import errors
from coronium.physics.readers.errors import SpectrumFormatError
from coronium.physics.readers.tabular import read_spectra
from coronium.results.pages import InvalidQuery, read_token, write_token
from coronium.runtime.dead_letters import dead_letter
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.record_batches import Records, Unreadable
from coronium.runtime.settings import GrpcSettings
from coronium.runtime.stage import Incoming, Outgoing, Rejected
from coronium.runtime.unpacking import GZIP, LZ4, SNAPPY, ZSTD, Damaged, TooMuch, unpacked
from coronium.v1 import dead_letter_pb2, features_pb2, ingestion_pb2, ingestion_pb2_grpc, spectrum_pb2
from tests.fuzz import batches, files, seeds
from tests.unit.spectra import good_spectrum

TOO_LARGE = dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE
EMPTY_CHANNELS = b"\x2a\x00" * (4 * MEBIBYTE)


# Messages that unpack to many times their size.


def test_eight_mebibytes_of_empty_channels_are_refused_before_they_become_half_a_gibibyte() -> None:
    script = f"""
import resource
from coronium.ingestion.checks import parse
from coronium.runtime.stage import Rejected
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    parse(b"\\x2a\\x00" * {4 * MEBIBYTE})
except Rejected as refused:
    print(refused.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    reason, grown_kib = map(int, done.stdout.split())
    assert reason == TOO_LARGE
    assert grown_kib < 64 * 1024


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (spectrum_pb2.Spectrum, EMPTY_CHANNELS),
        (spectrum_pb2.Spectrum, b"\x7b\x7c" + EMPTY_CHANNELS),
        (features_pb2.Features, b"\x22\x00" * (MAX_PARTS + 1)),
    ],
)
def test_parts_are_counted_wherever_they_stand(kind: type, data: bytes) -> None:
    with pytest.raises(TooManyParts):
        read_message(kind, data)
    # In one message, and spread over several that protobuf would make one of.
    inside = bytearray()
    for start in range(0, min(len(data), 40_000), 4_000):
        part = data[start : start + 4_000]
        inside += b"\x0a" + bytes([len(part) & 0x7F | 0x80, len(part) >> 7]) + part
    if kind is spectrum_pb2.Spectrum:
        with pytest.raises(TooManyParts):
            read_message(spectrum_pb2.Observation, bytes(inside))


def test_the_largest_honest_messages_are_far_below_the_number_of_parts() -> None:
    message = good_spectrum()
    for number in range(limits.MAX_EXPOSURES - 1):
        message.exposures.add(name="x", seconds=1.0).start.seconds = number
    for number in range(limits.MAX_CHANNELS - 1):
        message.channels.add().CopyFrom(message.channels[0])
    for number in range(limits.MAX_ANNOTATIONS - 1):
        message.annotations[str(number)] = "x"
    features = seeds.features(message)
    for _ in range(limits.MAX_LINES):
        features.lines.add(label="x", wavelength=1.0)
    for _ in range(limits.MAX_CHANNELS):
        features.denoised.add(name="x", counts=[1.0])
    assert count_parts(features.DESCRIPTOR, features.SerializeToString()) < MAX_PARTS * 0.7


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_counting_parts_agrees_with_protobuf_on_what_can_be_read(data: bytes) -> None:
    try:
        message = spectrum_pb2.Spectrum.FromString(data)
    except DecodeError:
        count_parts(spectrum_pb2.Spectrum.DESCRIPTOR, data)
        return
    parts = len(message.exposures) + len(message.channels) + len(message.annotations)
    assert count_parts(spectrum_pb2.Spectrum.DESCRIPTOR, data) >= parts


# Records: their keys, headers and batches.


def incoming(value: bytes = b"v", key: bytes = b"k", headers: dict[str, bytes] | None = None) -> Incoming:
    return Incoming("coronium.spectra.v1", 0, 0, key, value, headers or {}, 1.7e9)


def test_a_key_or_headers_beyond_the_limit_have_a_sentence() -> None:
    assert envelope_problem(b"k" * limits.MAX_KEY_BYTES, Headers.new("night").encode()) is None
    assert "The key has 1025 bytes" in (envelope_problem(b"k" * (limits.MAX_KEY_BYTES + 1), {}) or "")
    assert "The headers have 16385 bytes" in (envelope_problem(b"", {"x": bytes(limits.MAX_HEADER_BYTES)}) or "")


@pytest.mark.parametrize(
    "record",
    [
        incoming(key=bytes(12 * MEBIBYTE)),
        incoming(value=bytes(12 * MEBIBYTE), headers={f"{i}": b"" for i in range(10_000)}),
        incoming(value=bytes(16 * MEBIBYTE)),
        incoming(key=bytes(16 * MEBIBYTE), value=bytes(MEBIBYTE)),
    ],
)
def test_whatever_comes_can_be_set_aside(record: Incoming) -> None:
    made = dead_letter(StageName.RESULTS, record, TOO_LARGE, "No." * 2000, 1)
    assert len(made.key) + len(made.value or b"") < limits.MAX_DEAD_LETTER_BYTES - 64 * 1024
    letter = dead_letter_pb2.DeadLetter.FromString(made.value or b"")
    if len(record.key) + len(record.value) <= limits.MAX_RECORD_BYTES:
        assert (letter.key, letter.value) == (record.key, record.value)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_of_any_codec_is_refused_at_the_limit(codec: int) -> None:
    from aiokafka import codec as codecs

    pack = {
        GZIP: codecs.gzip_encode,
        SNAPPY: codecs.snappy_encode,
        LZ4: codecs.lz4_encode,
        ZSTD: codecs.zstd_encode,
    }[codec]
    data = pack(bytes(8 * MEBIBYTE))
    assert unpacked(codec, data, 8 * MEBIBYTE) == bytes(8 * MEBIBYTE)
    with pytest.raises(TooMuch, match=f"more than {8 * MEBIBYTE - 1} bytes"):
        unpacked(codec, data, 8 * MEBIBYTE - 1)
    with pytest.raises(Damaged):
        unpacked(codec, data[: len(data) // 2])


def test_what_a_gzip_bomb_holds_is_never_held_here() -> None:
    # Twelve mebibytes, the largest batch a topic takes, would be twelve gibibytes.
    data = gzip.compress(bytes(512 * MEBIBYTE), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooMuch):
        unpacked(GZIP, data)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 3 * limits.MAX_UNPACKED_BYTES


@pytest.mark.parametrize("codec", batches.CODECS)
def test_our_reading_of_a_batch_is_aiokafkas(codec: int) -> None:
    from aiokafka.record.memory_records import MemoryRecords

    ours, theirs = (kind(batches.batch(codec)).next_batch() for kind in (Records, MemoryRecords))
    assert ours.validate_crc()
    for name in ("base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"):
        assert getattr(ours, name) == getattr(theirs, name)
    for mine, its in zip(ours, theirs, strict=True):
        for name in ("offset", "timestamp", "timestamp_type", "key", "value", "headers"):
            assert getattr(mine, name) == getattr(its, name)


def test_a_damaged_record_ends_its_batch_as_one_unreadable_record_at_its_last_offset() -> None:
    data = bytearray(batches.batch(0))
    data[-10] ^= 0x40
    *read, last = list(Records(bytes(data)).next_batch())
    assert [record.offset for record in read] == [0, 1][: len(read)]
    assert last.offset == 2
    assert isinstance(last.value, Unreadable)
    assert last.value == bytes(data)
    assert last.value.detail.endswith(".")


# gRPC and REST.


@pytest.fixture
async def submission() -> AsyncIterator[grpc.aio.Channel]:
    async def forget(records: Sequence[Outgoing], headers: Headers) -> None:
        del records, headers

    def add(server: grpc.aio.Server) -> str:
        servicer = IngestionService(forget, RecentFingerprints(10))
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(servicer, server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    server = GrpcServer(GrpcSettings(port=0), add)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=GRPC_CHANNEL_OPTIONS) as channel:
        yield channel
    await server.stop()


async def _refused(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code(), raised.value.details() or ""


async def test_bytes_that_are_no_request_are_the_callers_fault(submission: grpc.aio.Channel) -> None:
    submit = submission.unary_unary("/coronium.v1.IngestionService/Submit")
    code, details = await _refused(submit(b"\xff\xff", timeout=10))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "no coronium.v1.SubmitRequest" in details
    inside = b"\x0a\x80\x80\x80\x04" + EMPTY_CHANNELS
    code, details = await _refused(submit(inside, timeout=20))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "more than 10000 parts" in details


async def test_a_compressed_request_is_measured_unpacked(submission: grpc.aio.Channel) -> None:
    message = good_spectrum()
    message.annotations["x"] = "x" * 3000
    ok = await ingestion_pb2_grpc.IngestionServiceStub(submission).Submit(
        ingestion_pb2.SubmitRequest(spectrum=message), timeout=10, compression=grpc.Compression.Gzip
    )
    assert ok.fingerprint
    bomb = submission.unary_unary("/coronium.v1.IngestionService/Submit", request_serializer=lambda value: value)
    options = [("grpc.max_send_message_length", -1)]
    target = submission.get_state  # keeps the fixture's channel open
    del target, bomb
    async with grpc.aio.insecure_channel(_address(submission), options=options) as unlimited:
        call = unlimited.unary_unary("/coronium.v1.IngestionService/Submit")
        code, details = await _refused(
            call(bytes(200 * MEBIBYTE), timeout=60, compression=grpc.Compression.Gzip)
        )
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(limits.MAX_GRPC_BYTES) in details


def _address(channel: grpc.aio.Channel) -> str:
    return channel._channel.target().decode()  # type: ignore[attr-defined]
