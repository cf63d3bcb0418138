"""The epochs of a target live on the broker: whoever works on its partition knows the same of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from kafka import KafkaAdminClient, TopicPartition

from coronium import Client
from coronium.contract.conversion import spectrum_to_message
from coronium.contract.identity import fingerprint
from coronium.contract.topics import EPOCHS, FEATURES, OBSERVATIONS, POSTERIORS, SPECTRA, StageName, Topic
from coronium.fitting.epochs import PartitionEpochs
from coronium.physics.readers.capella import read_capella
from coronium.runtime.admin import create_topics
from coronium.v1 import control_pb2, control_pb2_grpc, epoch_pb2, features_pb2, posterior_pb2, spectrum_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.posterior_factory import observation

pytestmark = pytest.mark.timeout(240)

COUNT = 8
OTHERS = 40


def capella() -> list[features_pb2.Features]:
    """Return the features of Capella's 25 exposures, each an epoch of its own."""
    made = []
    for spectrum in read_capella():
        message = spectrum_to_message(spectrum)
        message.target = "capella"
        made.append(
            features_pb2.Features(
                observation=spectrum_pb2.Observation(
                    spectrum=message, fingerprint=fingerprint(message), received_at=Timestamp(seconds=1_700_000_000)
                )
            )
        )
    return made


@pytest.fixture
def wide(broker: str) -> Stream:
    """Topics with eight partitions."""
    stream = Stream(broker, f"wide{time.monotonic_ns()}")
    create_topics(stream.kafka, partitions=COUNT)
    return stream


@pytest.fixture
def start(wide: Stream, tmp_path: Path) -> Iterator[Callable[[], Service]]:
    """Start replicas of the fitting service, which pass on what the network says; killed at the end."""
    services: list[Service] = []

    def start() -> Service:
        log = tmp_path / f"fitting{len(services)}.log"
        services.append(Service(wide, log, "coronium.fitting", FITTING__MAX_RUNG="network", FITTING__BATCH_SIZE="4"))
        return services[-1]

    yield start
    for service in services:
        if service.process.poll() is None:
            service.kill()


def digests(replicas: list[Service]) -> dict[int, str]:
    """Return what the replicas say they know, over all partitions; empty while any of it is missing."""
    told: dict[int, str] = {}
    with replicas[0].channel() as channel:
        status = control_pb2_grpc.ControlServiceStub(channel).Status(control_pb2.StatusRequest(), timeout=10)
    for replica in status.replicas:
        told |= dict(replica.state_digests)
    return told if len(status.replicas) == len(replicas) and len(told) == COUNT else {}


def in_topic(stream: Stream) -> dict[int, str]:
    """Return what the topic says, read by nobody's state but the test's own."""
    found = {partition: PartitionEpochs() for partition in range(COUNT)}
    for partition, value in stream.read_with_partitions(EPOCHS):
        record = epoch_pb2.EpochRecord.FromString(value)
        found[partition].add(record.target, record.fingerprint, record.result_id)
    return {partition: f"{epochs.digest:016x}" for partition, epochs in found.items()}


def done(stream: Stream) -> int:
    admin = KafkaAdminClient(bootstrap_servers=stream.address)
    group = stream.kafka.topics.group(StageName.FITTING)
    partitions = [TopicPartition(stream.name(FEATURES), p) for p in range(COUNT)]
    offsets = admin.list_group_offsets({group: partitions})[group]
    admin.close()
    return sum(max(found.offset, 0) for found in offsets.values())


def test_killed_rebalanced_and_replayed_from_zero_the_replicas_know_the_same_epochs(
    wide: Stream, start: Callable[[], Service]
) -> None:
    epochs = capella()
    others = [features_pb2.Features(observation=observation(f"star/{n:02d}", seed=n)) for n in range(OTHERS)]
    mixed = [item for pair in zip(epochs, others, strict=False) for item in pair] + others[len(epochs) :]
    records = [(item.observation.spectrum.target.encode(), item.SerializeToString()) for item in mixed]
    total = len(records)

    replicas = [start().wait_until_ready(), start().wait_until_ready()]
    wide.publish(FEATURES, records[: total // 2])
    eventually(lambda: done(wide) > 5, 60, "some work")
    replicas.pop().kill()
    wide.publish(FEATURES, records[total // 2 :])
    eventually(lambda: done(wide) == total, 90, "all epochs with one replica")
    replicas.append(start().wait_until_ready())
    first = eventually(lambda: digests(replicas), 60, "what two replicas know")
    assert first == in_topic(wide)

    # Everything once more, as a replay from the beginning does it.
    wide.publish(FEATURES, records)
    eventually(lambda: done(wide) == 2 * total, 90, "the replay")
    # Reports come every five seconds.
    time.sleep(6)
    assert eventually(lambda: digests(replicas), 30) == first == in_topic(wide)

    known = {e.observation.fingerprint for e in epochs}
    assert len(known) == 25
    results = [posterior_pb2.Posterior.FromString(value) for _, value in wide.read(POSTERIORS) if value]
    of_capella = [result for result in results if result.target == "capella"]
    assert {one for result in of_capella for one in result.fingerprints} == known
    assert len({result.result_id for result in of_capella}) == 25
    held = [partition for partition, value in wide.read_with_partitions(EPOCHS) if b"capella" in value[:40]]
    assert len(set(held)) == 1


def test_the_pixels_of_a_raster_spread_over_all_partitions(wide: Stream, tmp_path: Path) -> None:
    targets = [f"sun/ar12807/x{column:03d}y{row:03d}" for column in range(40) for row in range(25)]
    spectrum = observation("sun").spectrum
    with Client(kafka=wide.address, prefix=wide.prefix) as client:
        client.publish(named(spectrum, target) for target in targets)
    ingestion = Service(wide, tmp_path / "ingestion.log", "coronium.ingestion")
    try:
        eventually(lambda: len(wide.read(OBSERVATIONS)) == 1000, 120, "their observations")
    finally:
        ingestion.kill()
    published = placed(wide, SPECTRA, lambda value: spectrum_pb2.Spectrum.FromString(value).target)
    observed = placed(wide, OBSERVATIONS, lambda value: spectrum_pb2.Observation.FromString(value).spectrum.target)
    assert set(published) == set(targets)
    held = Counter(published.values())
    assert len(held) == COUNT
    assert max(held.values()) <= 250
    # All that is made of a target stands in the partition of the same number, whoever wrote it.
    assert observed == published


def named(spectrum: spectrum_pb2.Spectrum, target: str) -> spectrum_pb2.Spectrum:
    made = spectrum_pb2.Spectrum()
    made.CopyFrom(spectrum)
    made.target = target
    return made


def placed(stream: Stream, topic: Topic, target: Callable[[bytes], str]) -> dict[str, int]:
    """Return the partition of each target."""
    return {target(value): partition for partition, value in stream.read_with_partitions(topic)}
