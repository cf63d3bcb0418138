"""A log that has lost records ends before what the group has committed: what is written next is not passed over."""

from collections.abc import Callable

import pytest
from kafka import TopicPartition
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.admin import admin_client, create_topics
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(120)

STAGE = StageName.EXTRACTION
ALL_AGAIN = "Kafka has lost records of this partition: all of it is read again"
Start = Callable[..., Service]


def publish(stream: Stream, first: int, last: int) -> None:
    stream.publish(SPECTRA, [(b"target", b"%d" % number) for number in range(first, last)], partition=0)


def squares(stream: Stream) -> set[int]:
    return {int(value) for _, value in stream.read(OBSERVATIONS) if value is not None}


def committed(stream: Stream) -> int:
    return stream.committed(STAGE, SPECTRA).get(0, 0)


def commit(stream: Stream, offset: int) -> None:
    """Commit as the group, which is empty, or will be when the broker has noticed."""
    wanted = {TopicPartition(stream.name(SPECTRA), 0): OffsetAndMetadata(offset, "", -1)}
    group = stream.kafka.topics.group(STAGE)
    admin = admin_client(stream.kafka)
    eventually(lambda: set(admin.alter_group_offsets(group, wanted).values()) == {NoError}, 30, "the commit")
    admin.close()


@pytest.mark.parametrize("lost", [5, 1000], ids=["a few records", "more than were ever written since"])
def test_a_stage_that_was_away_reads_a_shorter_log_from_its_beginning(
    stream: Stream, start_service: Start, lost: int
) -> None:
    publish(stream, 0, 10)
    first = start_service()
    eventually(lambda: committed(stream) == 10, 60, "the first ten")
    assert first.terminate() == 0
    # What the group knows of the log from before it lost its end.
    commit(stream, 10 + lost)
    publish(stream, 10, 13)
    second = start_service()
    eventually(lambda: committed(stream) == 13, 60, "the rest")
    assert squares(stream) == {number * number for number in range(13)}
    assert [line["source"] for line in second.said(ALL_AGAIN)] == [f"{stream.name(SPECTRA)}/0/0"]
    assert 'coronium_cut_short_total{topic="spectra.v1"} 1.0' in second.metrics()
    publish(stream, 13, 20)
    eventually(lambda: committed(stream) == 20, 60, "the next")
    assert squares(stream) == {number * number for number in range(20)}
    assert not stream.dead_letters(STAGE)


def test_a_topic_that_is_made_anew_under_a_running_stage_is_read_from_its_beginning(
    stream: Stream, start_service: Start
) -> None:
    publish(stream, 0, 10)
    service = start_service()
    eventually(lambda: committed(stream) == 10, 60, "the first ten")
    admin = admin_client(stream.kafka)
    admin.delete_topics([stream.name(SPECTRA)])
    eventually(lambda: stream.name(SPECTRA) not in admin.list_topics(), 30, "the deletion")
    admin.close()
    create_topics(stream.kafka, partitions=PARTITIONS)
    publish(stream, 10, 13)
    eventually(lambda: squares(stream) == {number * number for number in range(13)}, 90, "what is in the new one")
    assert service.process.poll() is None
    assert not stream.dead_letters(STAGE)
