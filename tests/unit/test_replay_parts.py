"""Which records of a part of a topic are sent again; the reading from Kafka is tried in tests/kafka/test_replay.py."""

from types import SimpleNamespace

import pytest

from coronium.contract.headers import REPLAY_OF_HEADER
from coronium.operations import replay_parts
from coronium.operations.replay_parts import COPY, TopicPart
from coronium.operations.topic_ranges import Range


def record(offset: int, value: bytes, original: str = "") -> SimpleNamespace:
    headers = [(REPLAY_OF_HEADER, original.encode())] if original else []
    return SimpleNamespace(
        topic="spectra", partition=1, offset=offset, value=value, key=b"star", headers=headers, timestamp=0
    )


def sent(monkeypatch: pytest.MonkeyPatch, *found: SimpleNamespace) -> tuple[list[bytes], dict[str, int]]:
    monkeypatch.setattr(replay_parts, "records", lambda consumer, within: iter(found))
    part = TopicPart(None, [Range("spectra", 1, 5, 20)])
    return [candidate.value for candidate in part.candidates()], dict(part.skipped)


def test_a_copy_is_passed_over_for_its_original(monkeypatch: pytest.MonkeyPatch) -> None:
    values, skipped = sent(monkeypatch, record(7, b"A"), record(9, b"A", "spectra/1/7"), record(10, b"C"))
    assert (values, skipped) == ([b"A", b"C"], {COPY: 1})


@pytest.mark.parametrize(
    "original",
    [
        pytest.param("spectra/1/7", id="another stands in its place: the log has lost its end"),
        pytest.param("spectra/1/8", id="nothing stands there"),
        pytest.param("spectra/1/4", id="before the part"),
        pytest.param("spectra/2/7", id="of another partition"),
        pytest.param("spectra/1/" + 5000 * "9", id="more digits than Python reads"),
        pytest.param("spectra/1/9223372036854775808", id="more than an offset has"),
        pytest.param("nonsense", id="no place"),
    ],
)
def test_a_copy_of_something_else_is_sent(monkeypatch: pytest.MonkeyPatch, original: str) -> None:
    values, skipped = sent(monkeypatch, record(7, b"B"), record(9, b"A", original))
    assert (values, skipped) == ([b"B", b"A"], {})
