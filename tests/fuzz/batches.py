"""Record batches as a broker would hand them out, and what is packed in them."""

from __future__ import annotations

import random
import struct
from functools import cache
from unittest import mock

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from coronium.contract.limits import MEBIBYTE
from coronium.runtime.record_batches import Records, Unreadable
from coronium.runtime.unpacking import Damaged, TooMuch, unpacked
from tests.fuzz.mutators import mutated_bytes
from tests.fuzz.target import PASSED, REFUSED, Target

CODECS = range(5)
_LENGTH_AT, _BEFORE_LENGTH_ENDS, _FORMAT_AT, _HEADER = 8, 12, 16, 61


def targets() -> list[Target]:
    """Return all targets of this file."""
    return [
        Target("record-batches", _read, _draw, [batch(codec) for codec in CODECS], 6_000),
        Target(
            "unpacking", _unpack, _draw_packed, [bytes([codec]) + batch(codec)[_HEADER:] for codec in CODECS], 4_000
        ),
    ]


@cache
def batch(codec: int) -> bytes:
    """Return three records with headers, packed."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=MEBIBYTE,
    )
    for number in range(3):
        builder.append(number, 1_700_000_000_000, b"key", b"value" * 20, [("name", b"held"), ("none", None)])
    # gzip writes down when it packed.
    with mock.patch("gzip.time.time", return_value=0.0):
        return bytes(builder.build())


def _draw(random: random.Random) -> bytes:
    data = bytearray(mutated_bytes(random, batch(random.choice(CODECS)), [batch(codec) for codec in CODECS]))
    data += bytes(max(0, _HEADER - len(data)))
    # The broker sees to the length and to the format.
    struct.pack_into(">i", data, _LENGTH_AT, len(data) - _BEFORE_LENGTH_ENDS)
    data[_FORMAT_AT] = 2
    return bytes(data)


def _read(data: bytes) -> str:
    if len(data) < _HEADER or data[_FORMAT_AT] != 2:
        return REFUSED
    records = Records(
        data[:_LENGTH_AT] + struct.pack(">i", len(data) - _BEFORE_LENGTH_ENDS) + data[_BEFORE_LENGTH_ENDS:]
    )
    unreadable = False
    while records.has_next():
        found = records.next_batch()
        found.validate_crc()
        for record in found:
            unreadable |= isinstance(record.value, Unreadable)
            dict(record.headers)
    return REFUSED if unreadable else PASSED


def _draw_packed(random: random.Random) -> bytes:
    codec = random.choice(CODECS)
    return bytes([codec]) + mutated_bytes(random, batch(codec)[_HEADER:], [])


def _unpack(data: bytes) -> str:
    try:
        unpacked(data[0] if data else 0, data[1:], MEBIBYTE)
    except (Damaged, TooMuch):
        return REFUSED
    return PASSED
