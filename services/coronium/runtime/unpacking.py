"""Unpack compressed batches of records, and no more of them than fits a limit."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cramjam

from coronium.contract.limits import MAX_UNPACKED_BYTES

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""Codecs by their number in a batch's attributes."""

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16
_MOST_MEMBERS = 16


class TooMuch(Exception):
    """More comes out than may; the text is one sentence."""


class Damaged(Exception):
    """What was packed cannot be unpacked; the text says why in a few words."""


def unpacked(codec: int, data: bytes | memoryview, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Unpack the records of a batch.

    Parameters
    ----------
    codec : int
    data : bytes-like
    limit : int
        Bytes that may come out.

    Raises
    ------
    TooMuch
        It would be more; no more than that was held.
    Damaged
        The data are damaged, or of a codec that nobody knows.
    """
    unpack = _UNPACK.get(codec)
    if unpack is None:
        raise Damaged(f"codec {codec} does not exist")
    try:
        return unpack(data, limit)
    except (TooMuch, Damaged):
        raise
    except (zlib.error, struct.error, OSError, ValueError, RuntimeError, cramjam.DecompressionError) as error:
        raise Damaged(str(error)) from None


def _too_much(limit: int) -> TooMuch:
    return TooMuch(f"The compressed batch unpacks to more than {limit} bytes: send fewer or smaller records in one.")


def _gzip(data: bytes | memoryview, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    rest = bytes(data)
    while rest:
        # A producer writes one member. Each copies what is left, which for a million of them would not end.
        if len(parts) == _MOST_MEMBERS:
            raise Damaged(f"it has more than {_MOST_MEMBERS} members")
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(rest, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise _too_much(limit)
        if not member.eof:
            raise Damaged("it ends in the middle")
        rest = member.unused_data
    return b"".join(parts)


def _snappy(data: bytes | memoryview, limit: int) -> bytes:
    data = bytes(data)
    if not data.startswith(_XERIAL):
        return _snappy_block(data, limit)
    parts: list[bytes] = []
    room, position = limit, _XERIAL_HEADER
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
        if not 0 < size <= len(data) - position:
            raise Damaged("a block has no such length")
        parts.append(_snappy_block(data[position : position + size], room, limit))
        room -= len(parts[-1])
        position += size
    return b"".join(parts)


def _snappy_block(block: bytes, room: int, limit: int | None = None) -> bytes:
    # The length stands before the data.
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _too_much(limit or room)
    return bytes(cramjam.snappy.decompress_raw(block))


def _into(library: Any) -> Callable[[bytes | memoryview, int], bytes]:
    def unpack(data: bytes | memoryview, limit: int) -> bytes:
        # Memory that is asked for and not written to is not taken.
        with mmap.mmap(-1, limit) as room:
            try:
                size = library.decompress_into(bytes(data), room)
            except cramjam.DecompressionError as error:
                if "whole buffer" in str(error):
                    raise _too_much(limit) from None
                raise
            return room[:size]

    return unpack


_UNPACK: dict[int, Callable[[bytes | memoryview, int], bytes]] = {
    GZIP: _gzip,
    SNAPPY: _snappy,
    LZ4: _into(cramjam.lz4),
    ZSTD: _into(cramjam.zstd),
}
