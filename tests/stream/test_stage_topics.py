"""Topics are made once and never changed; compacted ones are read whole."""

import pytest
from kafka.admin import NewTopic

from coronium.contract.topics import CONTROL, EPOCHS, SPECTRA, TOPICS
from coronium.runtime.admin import admin_client, create_topics, existing
from coronium.runtime.compacted import CompactedTopicReader
from coronium.runtime.errors import StartError
from tests.stream.broker import PARTITIONS, Stream


def test_topics_are_created_once_and_a_changed_count_is_only_reported(broker: str) -> None:
    stream = Stream(broker, "topics")
    admin = admin_client(stream.kafka)
    admin.create_topics([NewTopic(stream.name(SPECTRA), 3, 1)])
    admin.close()
    reports = {report.name: report for report in create_topics(stream.kafka, partitions=4)}
    assert len(reports) == len(TOPICS)
    assert sum(report.created for report in reports.values()) == len(TOPICS) - 1
    spectra, control = reports[stream.name(SPECTRA)], reports[stream.name(CONTROL)]
    assert (spectra.created, spectra.partitions, spectra.wanted, spectra.differs) == (False, 3, 4, True)
    assert (control.created, control.partitions, control.differs) == (True, 1, False)
    again = {report.name: report for report in create_topics(stream.kafka, partitions=4)}
    assert not any(report.created for report in again.values())
    assert again[stream.name(SPECTRA)].partitions == 3


async def test_a_compacted_topic_is_read_to_its_end_and_followed(stream: Stream) -> None:
    seen: list[tuple[int, bytes, bytes | None]] = []
    stream.publish(EPOCHS, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], partition=0)
    stream.publish(EPOCHS, [(b"c", b"4")], partition=1)
    reader = CompactedTopicReader(stream.kafka, stream.name(EPOCHS), lambda *record: seen.append(record))
    await reader.start()
    try:
        await reader.catch_up()
        assert reader.values == {b"a": b"3", b"b": b"2", b"c": b"4"}
        assert len(seen) == 4
        stream.publish(EPOCHS, [(b"d", b"5")], partition=1)
        await reader.catch_up()
        assert reader.values[b"d"] == b"5"
    finally:
        await reader.stop()


async def test_only_the_partitions_that_are_asked_for_are_read(stream: Stream) -> None:
    for partition in range(PARTITIONS):
        stream.publish(EPOCHS, [(b"%d" % partition, b"x")], partition=partition)
    reader = CompactedTopicReader(stream.kafka, stream.name(EPOCHS))
    await reader.start(partitions=[1])
    try:
        await reader.catch_up()
        assert set(reader.values) == {b"1"}
        reader.assign([0])
        await reader.catch_up()
        assert set(reader.values) == {b"0", b"1"}
    finally:
        await reader.stop()


async def test_a_missing_compacted_topic_is_one_sentence_and_is_not_made(broker: str) -> None:
    stream = Stream(broker, "absent")
    reader = CompactedTopicReader(stream.kafka, stream.name(EPOCHS))
    with pytest.raises(StartError, match="coronium topics create"):
        await reader.start()
    await reader.stop()
    assert stream.name(EPOCHS) not in existing(stream.kafka)
