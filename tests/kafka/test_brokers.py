"""Brokers that end: three with two copies in sync, of which any one may go."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

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
    """Return the node that leads partition 0; -1 while nobody does, or those who are asked do not know."""
    try:
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=cluster.addresses)) as admin:
            (topic,) = admin.describe_topics([stream.name(SPECTRA)])
    except KafkaError:
        return -1
    return next(p["leader_id"] for p in topic["partitions"] if p["partition_index"] == 0)


def publish(stream: Stream, numbers: range, partition: int | None = None) -> None:
    stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in numbers], partition=partition)


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


def test_a_broker_that_has_missed_records_is_elected_and_what_comes_next_is_not_passed_over(
    three: Cluster, tmp_path: Path
) -> None:
    stream = Stream(three.addresses, "unclean")
    ahead, behind = 1, 2
    three.tool(
        "kafka-topics.sh",
        *("--bootstrap-server", three.addresses, "--create", "--topic", stream.name(SPECTRA)),
        *("--replica-assignment", ",".join([f"{ahead}:{behind}"] * PARTITIONS)),
        *("--config", "min.insync.replicas=1", "--config", "unclean.leader.election.enable=true"),
    )
    create_topics(stream.kafka, partitions=PARTITIONS, replication=3)
    service = Service(stream, tmp_path / "service.log").wait_until_ready()
    try:
        publish(stream, range(10), partition=0)
        eventually(lambda: committed(stream) == 10, 60, "what both have")
        three.end(behind)
        publish(stream, range(10, 20), partition=0)
        eventually(lambda: committed(stream) == 20, 60, "what one of them has")
        three.end(ahead, signal.SIGKILL)
        three.start_node(behind)
        eventually(lambda: leader(three, stream) == behind, 60, "the election of the one that missed ten")
        publish(stream, range(20, 25), partition=0)
        eventually(lambda: committed(stream) == 15, 90, "what was written where the lost ten had stood")
        assert {int(value or b"") for _, value in stream.read(OBSERVATIONS)} == {n * n for n in range(25)}
        assert 'coronium_cut_short_total{topic="spectra.v1"} 1.0' in service.metrics()
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
