"""Headers of every record: which schema, which trace, when produced, and whether it is a replay.

Header values are ASCII text, so that any Kafka tool shows them. A reader takes what is there: a record
without headers (from a user's own producer) is of the current schema and starts a trace of its own.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from coronium.contract.limits import MAX_HEADER_BYTES, MAX_KEY_BYTES

SCHEMA_VERSION = 1

SCHEMA_VERSION_HEADER = "coronium-schema-version"
TRACE_ID_HEADER = "coronium-trace-id"
PRODUCED_AT_HEADER = "coronium-produced-at"
ORIGIN_AT_HEADER = "coronium-origin-at"
REPLAY_ID_HEADER = "coronium-replay-id"
REPLAY_OF_HEADER = "coronium-replay-of"
REPLAY_DIGEST_HEADER = "coronium-replay-digest"

# Longest value that is read: a topic's name has at most 249 characters.
_MOST_TEXT = 300


# The first second after what a calendar of four digits holds.
_YEAR_10000 = 253_402_300_800


class UnknownSchema(ValueError):
    """The record was written under a schema this software does not know."""


_PLACE = re.compile(r"(?P<topic>[^/]{1,249})/(?P<partition>[0-9]{1,10})/(?P<offset>[0-9]{1,19})")


@dataclass(frozen=True, order=True)
class Place:
    """Where a record stands; written ``topic/partition/offset``.

    Parameters
    ----------
    topic : str
        Full name.
    partition, offset : int
    """

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """Read what `str` wrote; None where it is something else, or no place that Kafka could have."""
        # Anybody may have written it: Python refuses to read thousands of digits, and databases what needs 65 bits.
        found = _PLACE.fullmatch(text)
        if found is None:
            return None
        place = cls(found["topic"], int(found["partition"]), int(found["offset"]))
        return place if place.partition < 2**31 and place.offset < 2**63 else None


@dataclass(frozen=True)
class Headers:
    """The headers of one record.

    Parameters
    ----------
    trace_id : str
        32 hexadecimal digits (the form of W3C trace ids) that follow a spectrum from publication to result.
    produced_at : float
        When the record was produced, in seconds since 1970 UTC.
    origin_at : float
        When the spectrum this record descends from was published, in seconds since 1970 UTC; the age of a
        result is measured from it.
    replay_id : str
        Names the replay that redrove the record; empty for ordinary records.
    replay_of : Place or None
        Where the record stood that was redriven, whether this is its copy or follows from its copy.
    replay_digest : str
        `digest` of the copy's value, taken by the stage that read the copy: what closes a dead letter is a copy of
        the record inside it, not whatever says so.
    schema_version : int
        Version of the message schema.
    """

    trace_id: str
    produced_at: float
    origin_at: float
    replay_id: str = ""
    replay_of: Place | None = None
    replay_digest: str = ""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def new(cls, replay_id: str = "") -> "Headers":
        """Begin a trace now."""
        now = time.time()
        return cls(trace_id=new_trace_id(), produced_at=now, origin_at=now, replay_id=replay_id)

    def following(self) -> "Headers":
        """Return the headers of a record that is produced now because of this one."""
        return replace(self, produced_at=time.time(), schema_version=SCHEMA_VERSION)

    def encode(self) -> dict[str, bytes]:
        """Return the record headers; those of a replay only where there was one."""
        encoded = {
            SCHEMA_VERSION_HEADER: str(self.schema_version).encode(),
            TRACE_ID_HEADER: self.trace_id.encode(),
            PRODUCED_AT_HEADER: f"{self.produced_at:.6f}".encode(),
            ORIGIN_AT_HEADER: f"{self.origin_at:.6f}".encode(),
        }
        if self.replay_id:
            encoded[REPLAY_ID_HEADER] = self.replay_id.encode()
        if self.replay_of is not None:
            encoded[REPLAY_OF_HEADER] = str(self.replay_of).encode()
        if self.replay_digest:
            encoded[REPLAY_DIGEST_HEADER] = self.replay_digest.encode()
        return encoded

    def tied(self, topic: str, value: bytes, *, anybodys: bool) -> "Headers":
        """Return these headers with what they say of a replay tied to the record that they came with.

        Parameters
        ----------
        topic : str
            Full name of the topic that the record stands in.
        value : bytes
            Of the record.
        anybodys : bool
            Whether publishers write to that topic: what their headers say of other topics is not believed.
        """
        if self.replay_of is None:
            return self
        if topic == self.replay_of.topic:
            return replace(self, replay_digest=digest(value))
        return replace(self, replay_of=None, replay_digest="") if anybodys else self

    @classmethod
    def decode(cls, headers: Mapping[str, bytes], timestamp: float) -> "Headers":
        """Read the headers of a record.

        Parameters
        ----------
        headers : mapping of str to bytes
            As they came; unknown ones are ignored, missing or unreadable ones are replaced by a new trace and
            the record's own time.
        timestamp : float
            The record's own time in seconds since 1970 UTC; where it is none, it is now.

        Raises
        ------
        UnknownSchema
            The record says that it is of a schema version this software does not know.
        """
        version = headers.get(SCHEMA_VERSION_HEADER, str(SCHEMA_VERSION).encode())
        if version != str(SCHEMA_VERSION).encode():
            raise UnknownSchema(
                f"the record is of schema version {_text(version)!r}, this software knows {SCHEMA_VERSION}"
            )
        produced_at = _seconds(headers.get(PRODUCED_AT_HEADER), timestamp if is_time(timestamp) else time.time())
        return cls(
            trace_id=_text(headers.get(TRACE_ID_HEADER, b"")) or new_trace_id(),
            produced_at=produced_at,
            origin_at=_seconds(headers.get(ORIGIN_AT_HEADER), produced_at),
            replay_id=_text(headers.get(REPLAY_ID_HEADER, b"")),
            replay_of=Place.parse(_text(headers.get(REPLAY_OF_HEADER, b""))),
            replay_digest=_text(headers.get(REPLAY_DIGEST_HEADER, b"")),
        )


def digest(value: bytes) -> str:
    """Return the SHA-256 of a record's value, in hexadecimal digits."""
    return hashlib.sha256(value).hexdigest()


def envelope_problem(key: bytes, headers: Mapping[str, bytes]) -> str | None:
    """Say what is too large about a record beside its value, in one sentence; None where nothing is."""
    if len(key) > MAX_KEY_BYTES:
        return f"The key has {len(key)} bytes, the limit is {MAX_KEY_BYTES}: use the target as the key."
    size = sum(len(name.encode(errors="replace")) + len(value) for name, value in headers.items())
    if size > MAX_HEADER_BYTES:
        return f"The headers have {size} bytes, the limit is {MAX_HEADER_BYTES}: send fewer or shorter ones."
    return None


def is_time(seconds: float) -> bool:
    """Return whether a number is a time after 1970 and before the year 10000, to the microsecond that headers keep."""
    return 1e-6 <= seconds < _YEAR_10000


def new_trace_id() -> str:
    """Return a random trace id."""
    return secrets.token_hex(16)


def _text(value: bytes) -> str:
    """Return a header as printable text of bounded length, whatever a stranger wrote into it."""
    return "".join(c for c in value[:_MOST_TEXT].decode("ascii", "ignore") if c.isprintable())


def _seconds(value: bytes | None, otherwise: float) -> float:
    try:
        seconds = float(value) if value is not None else otherwise
    except ValueError:
        return otherwise
    return seconds if is_time(seconds) else otherwise
