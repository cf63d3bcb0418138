"""Reading a message that a stranger wrote, without letting it unpack to many times its size.

Of eight mebibytes that are nothing but empty channels, two bytes each, protobuf makes half a gibibyte of messages
before anyone can look at them. So the parts are counted on the wire first.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from coronium.contract.limits import MAX_PARTS

AnyMessage = TypeVar("AnyMessage", bound=Message)


class TooManyParts(DecodeError):
    """A message of more than `MAX_PARTS` parts; its text says so in a few words."""


def read_message(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """Parse bytes as a message.

    Parameters
    ----------
    kind : type of Message
    data : bytes

    Raises
    ------
    google.protobuf.message.DecodeError
        They are none, or (`TooManyParts`) one of too many parts.
    """
    count_parts(kind.DESCRIPTOR, data)
    return kind.FromString(data)


def count_parts(kind: Descriptor, data: bytes) -> int:
    """Count the fields of all messages in a message that may hold others, as far as the bytes make sense.

    Those of messages without further messages in them are not looked at: they grow in proportion to their bytes.

    Raises
    ------
    TooManyParts
        There are more than `MAX_PARTS`.
    """
    return _count(_inner(kind), data, 0, len(data), 0)


@cache
def _inner(kind: Descriptor) -> dict[int, Descriptor]:
    """Fields that hold messages, by number."""
    return {field.number: field.message_type for field in kind.fields if field.type == FieldDescriptor.TYPE_MESSAGE}


def _count(inner: dict[int, Descriptor], data: bytes, position: int, end: int, counted: int) -> int:
    while position < end:
        counted += 1
        if counted > MAX_PARTS:
            raise TooManyParts(f"it has more than {MAX_PARTS} parts")
        tag, position = _varint(data, position, end)
        match tag & 7:
            case _ if position > end:
                break
            case 0:
                _, position = _varint(data, position, end)
            case 1:
                position += 8
            case 2:
                length, position = _varint(data, position, end)
                kind = inner.get(tag >> 3)
                if kind is not None and _inner(kind):
                    counted = _count(_inner(kind), data, position, min(position + length, end), counted)
                position += length
            case 3 | 4:
                # What stands in a group is counted as if it stood beside it.
                pass
            case 5:
                position += 4
            case _:
                break
    return counted


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return a number and the position behind it; a position beyond the end where there is none."""
    number = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    return number, end + 1
