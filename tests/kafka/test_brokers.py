"""Brokers that end: three with two copies in sync, of which any one may go."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.admin import create_topics
from tests.kafka.cluster import Cluster
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(240)

STAGE = StageName.EXTRACTION


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers, replication 3, two in sync at least."""
    cluster = Cluster(tmp_path_factory.mktemp("three") / "cluster", brokers=3, heap="300m")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def leader(cluster: Cluster, stream: Stream) -> int:
    admin = KafkaAdminClient(bootstrap_servers=cluster.addresses)
    (topic,) = admin.describe_topics([stream.name(SPECTRA)])
    admin.close()
    return next(p["leader_id"] for p in topic["partitions"] if p["partition_index"] == 0)


def publish(stream: Stream, numbers: range) -> None:
    stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in numbers])


def committed(stream: Stream) -> int:
    return sum(stream.committed(STAGE, SPECTRA).values())


def test_the_leader_is_killed_and_another_broker_restarted_under_load(three: Cluster, tmp_path: Path) -> None:
    stream = Stream(three.addresses, "brokers")
    create_topics(stream.kafka, partitions=PARTITIONS, replication=3)
    service = Service(stream, tmp_path / "service.log").wait_until_ready()
    try:
        publish(stream, range(50))
        eventually(lambda: committed(stream) == 50, 60, "work before")
        first = leader(three, stream)
        three.end(first, signal.SIGKILL)
        publish(stream, range(50, 100))
        eventually(lambda: committed(stream) == 100, 90, "work without the leader")
        three.start_node(first)
        second = next(node for node in three.nodes if node != first)
        three.end(second, signal.SIGTERM)
        publish(stream, range(100, 150))
        eventually(lambda: committed(stream) == 150, 90, "work without another")
        three.start_node(second)
        publish(stream, range(150, 200))
        eventually(lambda: committed(stream) == 200, 90, "work with all")
        assert service.process.poll() is None, service.log.read_text()
        assert {int(value or b"") for _, value in stream.read(OBSERVATIONS)} == {n * n for n in range(200)}
        assert not stream.dead_letters(STAGE)
        assert service.terminate() == 0
    finally:
        if service.process.poll() is None:
            service.kill()


def test_the_only_broker_is_away_for_a_while(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster").start()
    try:
        stream = Stream(cluster.addresses, "away")
        create_topics(stream.kafka, partitions=PARTITIONS)
        service = Service(stream, tmp_path / "service.log").wait_until_ready()
        publish(stream, range(20))
        eventually(lambda: committed(stream) == 20, 60, "work before")
        cluster.end(1, signal.SIGKILL)
        cluster.start_node(1)
        publish(stream, range(20, 40))
        eventually(lambda: committed(stream) == 40, 120, "work after")
        assert {int(value or b"") for _, value in stream.read(OBSERVATIONS)} == {n * n for n in range(40)}
        service.kill()
    finally:
        cluster.stop()
