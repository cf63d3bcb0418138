"""How far behind each stage is, seen from outside: a dead service stops telling its own lag."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from coronium.contract.access import Role, permissions
from coronium.contract.flow import SOURCES
from coronium.runtime import metrics
from coronium.runtime.access import require
from coronium.runtime.admin import admin_client, explained
from coronium.runtime.errors import StartError
from coronium.runtime.settings import KafkaSettings


@dataclass(frozen=True)
class GroupLag:
    """Records of one topic that a stage has not finished.

    Attributes
    ----------
    stage, topic : str
    behind : int
    partitions : int
    """

    stage: str
    topic: str
    behind: int
    partitions: int


def group_lags(kafka: KafkaSettings) -> list[GroupLag]:
    """Return the lag of every stage on every topic it consumes.

    Raises
    ------
    Unreachable
        No broker answers.
    Refused
        We are not let in, or may not describe a topic or a group.
    StartError
        Topics are missing.
    """
    partitions = require(kafka, permissions(Role.LAG_EXPORTER, kafka.topics))
    admin = admin_client(kafka)
    try:
        return list(_lags(kafka, admin, partitions))
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()


def export(kafka: KafkaSettings, host: str, port: int, seconds: float) -> None:
    """Serve the lags as metrics, looked up every so many seconds, until the process ends.

    Raises
    ------
    StartError
        The port is taken, or topics are missing at the start.
    """
    try:
        metrics.serve(host, port)
    except OSError:
        raise StartError(f"metrics cannot be served on {host}:{port}: the port is taken; choose another.") from None
    while True:
        for lag in group_lags(kafka):
            topic = lag.topic.removeprefix(f"{kafka.prefix}.")
            metrics.GROUP_LAG.labels(group=lag.stage, topic=topic).set(lag.behind)
        time.sleep(seconds)


def _lags(kafka: KafkaSettings, admin: KafkaAdminClient, there: dict[str, int]) -> Iterator[GroupLag]:
    for stage, topics in SOURCES.items():
        group = kafka.topics.group(stage)
        for topic in topics:
            name = kafka.topics.name(topic)
            partitions = [TopicPartition(name, number) for number in range(there[name])]
            committed = {
                partition: found.offset
                for partition, found in admin.list_group_offsets({group: partitions})[group].items()
                if found.offset >= 0
            }
            ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
            starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
            behind = sum(
                max(0, ends[partition].offset - committed.get(partition, starts[partition].offset))
                for partition in partitions
            )
            yield GroupLag(stage.value, name, behind, len(partitions))
