"""What unpacks to many times its size, or is too large to be set aside, is refused before it does harm."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest
from aiokafka import codec as codecs
from aiokafka.record.memory_records import MemoryRecords
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from coronium.contract import limits
from coronium.contract.headers import Headers, envelope_problem, is_time
from coronium.contract.limits import MAX_PARTS, MEBIBYTE
from coronium.contract.topics import StageName
from coronium.contract.wire import TooManyParts, count_parts, read_message
from coronium.runtime.control import read_desired
from coronium.runtime.dead_letters import dead_letter
from coronium.runtime.record_batches import Records, Unreadable
from coronium.runtime.stage import Incoming
from coronium.runtime.unpacking import GZIP, LZ4, SNAPPY, ZSTD, Damaged, TooMuch, unpacked
from coronium.v1 import control_pb2, dead_letter_pb2, features_pb2, spectrum_pb2
from tests.fuzz import batches, seeds
from tests.unit.spectra import good_spectrum

TOO_LARGE = dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE
CHANNELS, LINES = b"\x2a\x00", b"\x22\x00"
"""An empty channel of a spectrum, and an empty line of features."""


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
        (spectrum_pb2.Spectrum, CHANNELS * (MAX_PARTS + 1)),
        # Behind an unknown group, and behind a field that is there many times.
        (spectrum_pb2.Spectrum, b"\x7b\x7c" + CHANNELS * (MAX_PARTS + 1)),
        (spectrum_pb2.Observation, (b"\x0a\xa0\x1f" + CHANNELS * 2000) * 6),
        (features_pb2.Features, LINES * (MAX_PARTS + 1)),
        (features_pb2.Features, (b"\x0a\xa3\x1f" + b"\x0a\xa0\x1f" + CHANNELS * 2000) * 6),
    ],
)
def test_parts_are_counted_wherever_they_stand(kind: type, data: bytes) -> None:
    kind.FromString(data)
    with pytest.raises(TooManyParts, match="more than 10000 parts"):
        read_message(kind, data)


def test_the_largest_honest_message_is_far_below_the_number_of_parts() -> None:
    message = good_spectrum()
    for number in range(limits.MAX_EXPOSURES - 1):
        message.exposures.add(name="x", seconds=1.0).start.seconds = number
    message.channels.extend([message.channels[0]] * (limits.MAX_CHANNELS - 1))
    for number in range(limits.MAX_ANNOTATIONS - 1):
        message.annotations[str(number)] = "x"
    features = seeds.features(message)
    for _ in range(limits.MAX_LINES):
        features.lines.add(label="x", wavelength=1.0)
    assert count_parts(features.DESCRIPTOR, features.SerializeToString()) < 0.7 * MAX_PARTS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_part_that_protobuf_makes_is_overlooked(data: bytes) -> None:
    counted = count_parts(spectrum_pb2.Spectrum.DESCRIPTOR, data)
    try:
        message = spectrum_pb2.Spectrum.FromString(data)
    except DecodeError:
        return
    assert counted >= len(message.exposures) + len(message.channels) + len(message.annotations)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=30), st.binary(max_size=60), max_size=8), st.floats())
def test_any_headers_give_times_and_texts_that_can_be_passed_on(headers: dict[str, bytes], timestamp: float) -> None:
    known = list(Headers.new("x").encode())
    given_ = dict(zip(known[1:], headers.values(), strict=False)) | headers
    read = Headers.decode({k: v for k, v in given_.items() if k != known[0]}, timestamp)
    assert is_time(read.produced_at)
    assert is_time(read.origin_at)
    again = Headers.decode(read.following().encode(), timestamp)
    assert (again.trace_id, again.replay_id) == (read.trace_id, read.replay_id)
    assert again.origin_at == pytest.approx(read.origin_at, abs=1e-6, rel=1e-12)


def incoming(value: bytes = b"v", key: bytes = b"k", headers: dict[str, bytes] | None = None) -> Incoming:
    return Incoming("coronium.spectra.v1", 0, 0, key, value, headers or {}, 1.7e9)


def test_a_key_or_headers_beyond_the_limit_have_a_sentence() -> None:
    assert envelope_problem(b"k" * limits.MAX_KEY_BYTES, Headers.new("night").encode()) is None
    assert "The key has 1025 bytes" in (envelope_problem(b"k" * (limits.MAX_KEY_BYTES + 1), {}) or "")
    assert "The headers have 16385 bytes" in (envelope_problem(b"", {"x": bytes(limits.MAX_HEADER_BYTES)}) or "")


@pytest.mark.parametrize(
    "record",
    [
        incoming(key=bytes(12 * MEBIBYTE), value=b""),
        incoming(value=bytes(12 * MEBIBYTE), headers={f"{number}": b"" for number in range(10_000)}),
        incoming(value=bytes(16 * MEBIBYTE)),
        incoming(key=bytes(15 * MEBIBYTE), value=bytes(MEBIBYTE)),
    ],
)
def test_whatever_comes_can_be_set_aside(record: Incoming) -> None:
    made = dead_letter(StageName.RESULTS, record, TOO_LARGE, "No." * 2000, 1)
    assert len(made.key) + len(made.value or b"") < limits.MAX_DEAD_LETTER_BYTES - 64 * 1024
    letter = dead_letter_pb2.DeadLetter.FromString(made.value or b"")
    if len(record.key) + len(record.value) <= limits.MAX_RECORD_BYTES + MEBIBYTE:
        assert (letter.key, letter.value) == (record.key, record.value)
    else:
        assert "are kept" in letter.detail


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_what_is_packed_is_unpacked_to_the_last_byte_of_the_limit_and_no_further(codec: int) -> None:
    packers = {GZIP: codecs.gzip_encode, SNAPPY: codecs.snappy_encode, LZ4: codecs.lz4_encode, ZSTD: codecs.zstd_encode}
    data = packers[codec](bytes(8 * MEBIBYTE))
    assert unpacked(codec, data, 8 * MEBIBYTE) == bytes(8 * MEBIBYTE)
    with pytest.raises(TooMuch, match=f"more than {8 * MEBIBYTE - 1} bytes"):
        unpacked(codec, data, 8 * MEBIBYTE - 1)
    with pytest.raises(Damaged):
        unpacked(codec, data[: len(data) // 2])


def test_a_batch_of_a_million_empty_gzip_members_is_given_up_at_once() -> None:
    empty = gzip.compress(b"")
    assert unpacked(GZIP, gzip.compress(b"first") + empty + gzip.compress(b"last")) == b"firstlast"
    with pytest.raises(Damaged, match="more than 16 members"):
        unpacked(GZIP, empty * 500_000)


def test_a_bomb_is_not_held_in_memory() -> None:
    # Twelve mebibytes, the largest batch that a topic takes, would become twelve gibibytes.
    data = gzip.compress(bytes(512 * MEBIBYTE), 1)
    script = """
import resource, sys
from coronium.runtime.unpacking import GZIP, TooMuch, unpacked
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpacked(GZIP, data)
except TooMuch:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True)
    assert int(done.stdout) * 1024 < 3 * limits.MAX_UNPACKED_BYTES


@pytest.mark.parametrize("codec", batches.CODECS)
def test_a_sound_batch_reads_as_aiokafka_reads_it(codec: int) -> None:
    ours, theirs = Records(batches.batch(codec)).next_batch(), MemoryRecords(batches.batch(codec)).next_batch()
    assert ours.validate_crc()
    for name in ("base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"):
        assert getattr(ours, name) == getattr(theirs, name)
    for mine, its in zip(ours, theirs, strict=True):
        for name in ("offset", "timestamp", "timestamp_type", "key", "value", "headers"):
            assert getattr(mine, name) == getattr(its, name)


def test_a_batch_whose_records_break_off_ends_in_one_unreadable_record_at_its_last_offset() -> None:
    whole = batches.batch(0)
    data = bytearray(whole[:-30])
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    *read, last = list(Records(bytes(data)).next_batch())
    assert [(record.offset, record.value) for record in read] == [(0, b"value" * 20), (1, b"value" * 20)]
    assert (last.offset, bytes(last.value)) == (2, bytes(data))
    assert isinstance(last.value, Unreadable)
    assert last.value.detail.startswith("A record of the batch cannot be read")


@pytest.mark.parametrize(
    "state",
    [
        control_pb2.DesiredState(generation=2**64 - 1),
        control_pb2.DesiredState(reload_generation=2**63),
        control_pb2.DesiredState(resume_generation=2**63),
        control_pb2.DesiredState(log_level="shout"),
    ],
)
def test_a_desired_state_that_nobody_could_follow_is_none(state: control_pb2.DesiredState) -> None:
    assert read_desired(state.SerializeToString()) is None
    assert read_desired(b"\xff") is None
    state.generation, state.reload_generation, state.resume_generation, state.log_level = 7, 1, 1, "debug"
    assert read_desired(state.SerializeToString()) == state
