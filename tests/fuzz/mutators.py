"""Valid messages made invalid, in every way that a stranger's software might make them so.

A mutant is drawn from a `random.Random` alone, so whoever has its seed has its bytes again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

FLOATS = (
    *(math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-3),
    *(5e-324, 1e-45, 1e-38, 1e-30, 1e-12, 1e12, 3.4028234e38, -3.4028234e38, 1e39, 1.7e308, -1.7e308, 2.0**24 + 1),
)
INTEGERS = (0, 1, -1, 2, 7, 127, 128, 255, 4096, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
TEXTS = (
    *("", " ", "\0", "a\0b", "\n", "\x7f", "..", "/", "sun//x", "a/../b", "*", "%", "'; --", "{}", "[[", "NaN", "-"),
    *("\u202ecapella", "\U0001f31e", "\ufffd", "İ", "é" * 150, "x" * 201, "x" * 3000, "\U0010ffff" * 700),
    *("hinode-eis", "chandra-letg", "euve", "my-rocket", "fe-12-187", "letg-negative", "0" * 64, "g" * 64),
)
MANY = (2, 3, 63, 65, 257, 1000)
"""How often something is repeated; the largest is drawn seldom."""


def nasty(random: random.Random, field: FieldDescriptor) -> Any:
    """Return a value that the type of a field allows and its meaning seldom does."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return random.choice(FLOATS)
        case FieldDescriptor.CPPTYPE_INT32 | FieldDescriptor.CPPTYPE_ENUM:
            return random.choice([n for n in INTEGERS if -(2**31) <= n < 2**31])
        case FieldDescriptor.CPPTYPE_INT64:
            return random.choice([n for n in INTEGERS if -(2**63) <= n < 2**63])
        case FieldDescriptor.CPPTYPE_UINT32:
            return random.choice([n for n in INTEGERS if 0 <= n < 2**32])
        case FieldDescriptor.CPPTYPE_UINT64:
            return random.choice([n for n in INTEGERS if 0 <= n < 2**64])
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
    text = random.choice(TEXTS)
    return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text


def mutated(random: random.Random, message: Message) -> Message:
    """Return a copy of a message with some of its fields changed; it still serialises."""
    copy = type(message)()
    copy.CopyFrom(message)
    for _ in range(1 + int(random.expovariate(0.7))):
        part = _some_part(random, copy)
        if part.DESCRIPTOR.fields:
            _mutate_field(random, part, random.choice(part.DESCRIPTOR.fields))
    return copy


def mutant(random: random.Random, message: Message, others: list[bytes] | None = None) -> bytes:
    """Return bytes that were a message: its fields changed, or its bytes, or both; now and then unharmed.

    Parameters
    ----------
    random : random.Random
    message : Message
        A valid one.
    others : list of bytes, optional
        Other messages, parts of which may be grafted into this one.
    """
    draw = random.random()
    # Deterministic: a map has no order of its own.
    data = (message if draw < 0.25 else mutated(random, message)).SerializeToString(deterministic=True)
    return data if draw < 0.02 or 0.25 <= draw < 0.7 else mutated_bytes(random, data, others or [])


def mutated_bytes(random: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Return bytes with some flipped, cut, doubled, inserted, or grafted from others."""
    for _ in range(1 + int(random.expovariate(1.0))):
        data = random.choice(_BYTES)(random, data, others)
    return data


def mutated_headers(random: random.Random, headers: dict[str, bytes]) -> dict[str, bytes]:
    """Return record headers with some changed, lost or strange."""
    changed = dict(headers)
    for _ in range(int(random.expovariate(0.6))):
        name = random.choice([*changed, "", "x", "coronium-unknown", "é" * 40]) if changed else "x"
        match random.randrange(4):
            case 0:
                changed.pop(name, None)
            case 1:
                changed[name] = random.randbytes(random.choice((0, 1, 16, 400)))
            case 2:
                changed[name] = str(random.choice((*FLOATS, *INTEGERS))).encode()
            case 3:
                changed[name] = random.choice(TEXTS).encode()
    return changed


def _some_part(random: random.Random, message: Message) -> Message:
    """Return the message or one that stands in it, at any depth."""
    while True:
        inner: list[Message] = []
        for field, value in message.ListFields():
            if field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE or _is_map(field):
                continue
            inner.extend(value if field.is_repeated else [value])
        if not inner or random.random() < 0.35:
            return message
        message = random.choice(inner)


def _mutate_field(random: random.Random, message: Message, field: FieldDescriptor) -> None:
    if _is_map(field):
        entries = getattr(message, field.name)
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        of_text = key.cpp_type == FieldDescriptor.CPPTYPE_STRING
        for _ in range(_many(random)):
            name = f"{random.choice(TEXTS)}{random.randrange(99)}" if of_text else nasty(random, key)
            entries[name] = nasty(random, value)
    elif field.is_repeated:
        _mutate_list(random, message, field)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        inner = getattr(message, field.name)
        if random.random() < 0.5:
            message.ClearField(field.name)
        elif inner.DESCRIPTOR.fields:
            _mutate_field(random, inner, random.choice(inner.DESCRIPTOR.fields))
    elif random.random() < 0.15:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, nasty(random, field))


def _mutate_list(random: random.Random, message: Message, field: FieldDescriptor) -> None:
    values = getattr(message, field.name)
    of_messages = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    match random.randrange(5):
        case 0 if values:
            del values[random.randrange(len(values))]
        case 1:
            message.ClearField(field.name)
        case 2 if values and not of_messages:
            values[random.randrange(len(values))] = nasty(random, field)
        case 3 if values:
            doubled = random.choice(values)
            values.extend([doubled] * _many(random))
        case _:
            for _ in range(_many(random)):
                if of_messages:
                    _mutate_field(random, values.add(), random.choice(field.message_type.fields))
                else:
                    values.append(nasty(random, field))


def _many(random: random.Random) -> int:
    return 1 if random.random() < 0.8 else MANY[int(len(MANY) * random.random() ** 3)]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _flip(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(changed), random.choice((1, 1, 2, 8)))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] if random.random() < 0.7 else data[:at] + data[at + random.choice((1, 2, 4, 16)) :]


def _double(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    begin = random.randrange(len(data) + 1)
    end = min(len(data), begin + random.choice((1, 4, 32, 256)))
    return data[:end] + data[begin:end] * random.choice((1, 2, 30)) + data[end:]


def _insert(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 2, 4, 10))) + data[at:]


def _graft(random: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = random.choice(others or [data])
    begin = random.randrange(len(other) + 1)
    part = other[begin : begin + random.choice((2, 16, 128))]
    at = random.randrange(len(data) + 1)
    return data[:at] + part + data[at + (len(part) if random.random() < 0.5 else 0) :]


def _unknown_field(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    number = random.choice((15, 99, 2**28, 2**29 - 1, 0))
    wire_type = random.randrange(8)
    return data + varint(number << 3 | wire_type) + random.randbytes(random.choice((0, 1, 4, 8, 20)))


def _strange_number(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Overwrite something with a number in more bytes than it needs, or with a length beyond the end."""
    at = random.randrange(len(data) + 1)
    strange = random.choice((b"\xff" * 9 + b"\x01", b"\xff" * 11, b"\x80\x80\x00", varint(2**31), varint(2**63)))
    return data[:at] + strange + data[at + 1 :]


def _broken_text(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    broken = random.choice((b"\xc3\x28", b"\xed\xa0\x80", b"\xff", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"))
    return data[:at] + broken + data[at + len(broken) :]


def _nested(random: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Put a field into itself, some deep."""
    tag = varint(random.choice((1, 4, 5, 15)) << 3 | 2)
    inner = b""
    for _ in range(random.choice((3, 30, 120))):
        inner = tag + varint(len(inner)) + inner
    return data + inner


_BYTES: tuple[Callable[[random.Random, bytes, list[bytes]], bytes], ...] = (
    *(_flip, _flip, _cut, _cut, _double, _insert, _graft, _unknown_field, _strange_number, _broken_text, _nested),
)


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)
