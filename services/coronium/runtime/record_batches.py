"""Batches of records as a broker hands them out, read so that no batch ends the service.

A broker checks a batch's length, sum and count, and nothing of what its records hold. aiokafka unpacks a batch
whole, whatever it becomes, and raises when a record cannot be read: the consumer ends, starts again, and meets the
same batch. So batches are read here. What cannot be read is one record whose value is an `Unreadable`, of which the
loop makes a dead letter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

# The compiled one reads on behind the end of its buffer.
from aiokafka.record.util import decode_varint_py as decode_varint

from coronium.contract.limits import MAX_HEADER_BYTES, MAX_RECORD_BYTES, MEBIBYTE
from coronium.runtime.unpacking import Damaged, TooMuch, unpacked

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_LENGTH_ENDS = struct.calcsize(">qi")
_AFTER_SUM = struct.calcsize(">qiibI")
_MAGIC_AT = struct.calcsize(">qii")
# Room for the story around a record of the largest size, where the record is a dead letter.
_LARGEST = MAX_RECORD_BYTES + MEBIBYTE

_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


class Unreadable(bytes):
    """A batch as it came, where its records, or one of them, cannot be read or are too large.

    Attributes
    ----------
    detail : str
        One sentence.
    too_large : bool
        Whether it is for its size.
    """

    detail: str
    too_large: bool

    @classmethod
    def of(cls, batch: bytes | memoryview, detail: str, too_large: bool) -> Unreadable:
        """Return a batch that cannot be read, with the reason."""
        made = cls(batch)
        made.detail, made.too_large = detail, too_large
        return made


class Record(NamedTuple):
    """One record, as aiokafka names its parts."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class Records:
    """The batches of one answer of the broker for one partition, in the place of aiokafka's `MemoryRecords`.

    Parameters
    ----------
    data : bytes
        The last batch may be cut short.
    """

    def __init__(self, data: bytes | None) -> None:
        self._data = memoryview(data or b"")
        self._position = 0

    def size_in_bytes(self) -> int:
        """Return the bytes of all batches."""
        return len(self._data)

    def has_next(self) -> bool:
        """Return whether a whole batch is left."""
        return self._position + _BEFORE_LENGTH_ENDS <= len(self._data) and self._end() <= len(self._data)

    def next_batch(self) -> Any:
        """Return the next batch."""
        end = self._end()
        data = self._data[self._position : end]
        self._position = end
        if len(data) < _HEADER.size or data[_MAGIC_AT] < 2:
            # The formats before Kafka 0.11, which no broker of today keeps.
            return MemoryRecords(bytes(data)).next_batch()
        return Batch(data)

    def _end(self) -> int:
        (length,) = struct.unpack_from(">i", self._data, self._position + _BEFORE_LENGTH_ENDS - 4)
        return self._position + _BEFORE_LENGTH_ENDS + max(length, 0)


class Batch:
    """One batch; iterate over it for its records.

    Parameters
    ----------
    data : memoryview
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._unread: Iterator[Record] | None = None
        (self.base_offset, _, _, _, self._sum, self._attributes, last, self._first_time, self._last_time, *rest) = (
            _HEADER.unpack_from(data)
        )
        self.producer_id, _, _, self._count = rest
        self.next_offset = self.base_offset + last + 1

    @property
    def is_control_batch(self) -> bool:
        """Whether it holds marks of transactions instead of records."""
        return bool(self._attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self._attributes & _TRANSACTIONAL)

    def validate_crc(self) -> bool:
        """Return whether the batch is as it was sent."""
        return calc_crc32c(self._data[_AFTER_SUM:]) == self._sum

    def __iter__(self) -> Batch:
        self._unread = self._records()
        return self

    def __next__(self) -> Record:
        self._unread = self._unread or self._records()
        return next(self._unread)

    def _records(self) -> Iterator[Record]:
        codec = self._attributes & _CODEC
        try:
            data = unpacked(codec, self._data[_HEADER.size :]) if codec else bytes(self._data[_HEADER.size :])
        except TooMuch as problem:
            yield self._unreadable(self.next_offset - 1, str(problem), too_large=True)
            return
        except Damaged as problem:
            yield self._unreadable(self.next_offset - 1, f"The batch cannot be unpacked: {problem}.")
            return
        position, offset = 0, self.base_offset - 1
        try:
            for _ in range(self._count):
                size, position = decode_varint(data, position)
                record = self._record(data, position, position + size)
                position += size
                offset = record.offset
                if codec and size > _LARGEST:
                    detail = f"The record unpacks to {size} bytes, the limit is {_LARGEST}: send it in parts."
                    yield self._unreadable(offset, detail, too_large=True)
                else:
                    yield record
        except (IndexError, ValueError, OverflowError) as problem:
            if offset < self.next_offset - 1:
                yield self._unreadable(self.next_offset - 1, f"A record of the batch cannot be read: {problem}.")

    def _unreadable(self, offset: int, detail: str, too_large: bool = False) -> Record:
        value = Unreadable.of(self._data, detail, too_large)
        return Record(offset, self._last_time, 0, None, value, [])

    def _record(self, data: bytes, position: int, end: int) -> Record:
        """Read the record between two places; `ValueError` where it does not end there."""
        if end > len(data):
            raise ValueError("it ends behind the batch")
        attributes_end = position + 1
        later, position = decode_varint(data, attributes_end)
        distance, position = decode_varint(data, position)
        key, position = _nullable(data, position, end)
        value, position = _nullable(data, position, end)
        headers, position = _headers(data, position, end)
        if position != end:
            raise ValueError("its parts do not fill it")
        appended = bool(self._attributes & _LOG_APPEND_TIME)
        timestamp = self._last_time if appended else self._first_time + later
        return Record(self.base_offset + distance, timestamp, int(appended), key, value, headers)


def _headers(data: bytes, position: int, end: int) -> tuple[list[tuple[str, bytes | None]], int]:
    """Read headers; more of them than a record may have, which could be millions, stay together as they came."""
    if end - position > 2 * MAX_HEADER_BYTES:
        return [("unread", data[position:end])], end
    count, position = decode_varint(data, position)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, position = _nullable(data, position, end)
        value, position = _nullable(data, position, end)
        headers.append(((name or b"").decode(errors="replace"), value))
    return headers, position


def _nullable(data: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = decode_varint(data, position)
    if length < 0:
        return None, position
    if position + length > end:
        raise ValueError("a part ends behind it")
    return data[position : position + length], position + length


def install() -> None:
    """Make every aiokafka consumer of this process read batches so."""
    fetcher.MemoryRecords = Records
