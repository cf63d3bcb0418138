"""Topics, limits and headers say what the stream is."""

import time

import pytest

from coronium.contract import limits
from coronium.contract.headers import (
    PRODUCED_AT_HEADER,
    REPLAY_OF_HEADER,
    SCHEMA_VERSION_HEADER,
    Headers,
    Place,
    UnknownSchema,
    digest,
)
from coronium.contract.topics import (
    ATTEMPTS,
    CONTROL,
    DEAD_LETTERS,
    EPOCHS,
    FEATURES,
    OBSERVATIONS,
    POSTERIORS,
    REPLAYS,
    SPECTRA,
    TOPICS,
    StageName,
    TopicNames,
)
from coronium.runtime.settings import RetentionSettings


def test_names_follow_the_prefix() -> None:
    names = TopicNames("observatory")
    assert names.name(SPECTRA) == "observatory.spectra.v1"
    assert names.name(DEAD_LETTERS[StageName.FITTING]) == "observatory.fitting.dead-letters.v1"
    assert names.group(StageName.RESULTS) == "observatory.results"
    assert all(names.topic(name) is topic for name, topic in names)
    with pytest.raises(KeyError):
        names.topic("coronium.spectra.v1")


def test_topics_of_targets_have_equal_partition_counts() -> None:
    counts = {topic.partitions(12) for topic in TOPICS if not topic.single_partition}
    assert counts == {12}
    assert CONTROL.partitions(12) == ATTEMPTS.partitions(12) == 1


def test_what_must_be_remembered_is_compacted_and_kept_for_ever() -> None:
    for topic in TOPICS:
        configuration = topic.configuration()
        assert (configuration["cleanup.policy"] == "compact") == (topic in (EPOCHS, CONTROL, ATTEMPTS))
        assert (configuration["retention.ms"] == "-1") == topic.compacted


def test_each_kind_of_topic_is_kept_for_its_time_and_the_settings_change_it() -> None:
    def days(retention: RetentionSettings) -> list[float]:
        topics = (SPECTRA, OBSERVATIONS, FEATURES, POSTERIORS, DEAD_LETTERS[StageName.FITTING])
        return [topic.retention_milliseconds(retention.by_kind) / 86_400_000 for topic in topics]

    assert days(RetentionSettings()) == [30, 7, 7, 90, 90]
    changed = RetentionSettings(spectra_days=60, intermediate_days=0.5, posteriors_days=365, dead_letters_days=10)
    assert days(changed) == [60, 0.5, 0.5, 365, 10]
    assert SPECTRA.configuration(changed.by_kind)["retention.ms"] == str(60 * 86_400_000)
    # What says that a dead letter was replayed lasts as long as the letter.
    assert REPLAYS.kept is DEAD_LETTERS[StageName.FITTING].kept


def test_every_limit_leaves_room_for_the_one_below() -> None:
    assert limits.MAX_SPECTRUM_BYTES < limits.MAX_RECORD_BYTES < limits.MAX_DEAD_LETTER_BYTES
    assert limits.MAX_DEAD_LETTER_BYTES < limits.MAX_PRODUCE_BYTES <= limits.MAX_FETCH_BYTES


def test_headers_come_back_as_they_went() -> None:
    place = Place("coronium.spectra.v1", 3, 12_345)
    headers = Headers(
        "0" * 32, 1_700_000_000.25, 1_600_000_000.5, replay_id="night-3", replay_of=place, replay_digest=digest(b"it")
    )
    assert Headers.decode(headers.encode(), timestamp=0.0) == headers
    assert headers.following().replay_of == place


def test_what_a_record_says_of_a_replay_is_tied_to_its_own_bytes() -> None:
    said = Headers("0" * 32, 1.0, 1.0, replay_of=Place("spectra", 3, 7), replay_digest="of another record")
    copy = said.tied("spectra", b"a copy", anybodys=True)
    assert (copy.replay_of, copy.replay_digest) == (said.replay_of, digest(b"a copy"))
    assert copy.following().tied("features", b"its features", anybodys=False).replay_digest == digest(b"a copy")
    # A publisher cannot speak of what stands in a topic that only stages write to.
    elsewhere = Headers("0" * 32, 1.0, 1.0, replay_of=Place("features", 3, 7), replay_digest=digest(b"x"))
    assert elsewhere.tied("spectra", b"a spectrum", anybodys=True).replay_of is None


@pytest.mark.parametrize("value", [b"", b"spectra", b"spectra/1", b"spectra/1/x", b"/1/2", b"spectra/-1/2", b"a/1/2/3"])
def test_a_place_that_cannot_be_read_is_none(value: bytes) -> None:
    assert Headers.decode({REPLAY_OF_HEADER: value}, timestamp=0.0).replay_of is None


def test_a_record_without_headers_begins_a_trace_at_its_own_time() -> None:
    headers = Headers.decode({}, timestamp=123.5)
    assert (headers.produced_at, headers.origin_at, headers.replay_id) == (123.5, 123.5, "")
    assert len(headers.trace_id) == 32


def test_what_follows_keeps_trace_and_origin() -> None:
    origin = Headers.decode({}, timestamp=time.time() - 60)
    following = origin.following()
    assert (following.trace_id, following.origin_at) == (origin.trace_id, origin.origin_at)
    assert following.produced_at > origin.produced_at + 59


@pytest.mark.parametrize("value", [b"nan", b"inf", b"yesterday", b""])
def test_an_unreadable_time_is_replaced_by_the_record_s_own(value: bytes) -> None:
    assert Headers.decode({PRODUCED_AT_HEADER: value}, timestamp=5.0).produced_at == 5.0


def test_a_schema_of_the_future_is_refused() -> None:
    with pytest.raises(UnknownSchema, match="schema version '2'"):
        Headers.decode({SCHEMA_VERSION_HEADER: b"2"}, timestamp=0.0)
