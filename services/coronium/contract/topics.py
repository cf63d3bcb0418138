"""Every topic of the stream, declared once.

`coronium topics create` makes them from this file; no service creates one. All topics that carry targets have
the same number of partitions, so that a target lives in partition p everywhere and a rebalance moves its
epochs together with its features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from coronium.contract.limits import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES, MEBIBYTE

DEFAULT_PREFIX = "coronium"
DEFAULT_PARTITIONS = 12


class StageName(StrEnum):
    """The stages that consume topics. The value names the stage in topics, groups, settings and metrics."""

    INGESTION = "ingestion"
    EXTRACTION = "extraction"
    FITTING = "fitting"
    RESULTS = "results"


@dataclass(frozen=True)
class Topic:
    """One topic of the stream.

    Parameters
    ----------
    suffix : str
        The name after the prefix, with its version.
    key : str
        What the key of a record is.
    message : str
        The protobuf message of a record's value.
    retention : datetime.timedelta or None
        How long records are kept; None where the newest record of a key is kept for ever.
    compacted : bool
        Whether the newest record of each key survives.
    max_bytes : int
        Largest record.
    single_partition : bool
        Whether the topic has one partition whatever the others have (small ones that everybody reads whole).
    """

    suffix: str
    key: str
    message: str
    retention: timedelta | None
    compacted: bool = False
    max_bytes: int = MAX_RECORD_BYTES
    single_partition: bool = False

    def partitions(self, count: int) -> int:
        """Return how many partitions this topic has where the topics of targets have `count`."""
        return 1 if self.single_partition else count

    def configuration(self) -> dict[str, str]:
        """Return the broker's configuration of this topic (Kafka's topic-level names)."""
        retention = -1 if self.retention is None else int(self.retention.total_seconds() * 1000)
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_bytes),
            # The broker's clock decides how long a record is kept. By its producer's, one that was stamped with the
            # time of an old observation would be gone at once, and one from a clock that runs ahead be refused.
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(retention),
        }


SPECTRA = Topic("spectra.v1", "target", "coronium.v1.Spectrum", timedelta(days=7))
OBSERVATIONS = Topic("observations.v1", "target", "coronium.v1.Observation", timedelta(days=7))
FEATURES = Topic("features.v1", "target", "coronium.v1.Features", timedelta(days=7))
POSTERIORS = Topic("posteriors.v1", "target", "coronium.v1.Posterior", timedelta(days=30), max_bytes=MEBIBYTE)
SLOW_FITS = Topic("slow-fits.v1", "target", "coronium.v1.Features", timedelta(days=30))
EPOCHS = Topic("epochs.v1", "target/fingerprint", "coronium.v1.EpochRecord", None, compacted=True)
CONTROL = Topic(
    "control.v1",
    "stage (DesiredState) or stage/replica (ReplicaState)",
    "coronium.v1.DesiredState, coronium.v1.ReplicaState",
    None,
    compacted=True,
    max_bytes=MEBIBYTE,
    single_partition=True,
)
ATTEMPTS = Topic(
    "attempts.v1",
    "stage/topic/partition (last offset of the batch begun) or stage/topic/partition/offset (solo attempts)",
    "google.protobuf.UInt64Value",
    None,
    compacted=True,
    max_bytes=MEBIBYTE,
    single_partition=True,
)


def _dead_letters(stage: StageName) -> Topic:
    return Topic(
        f"{stage.value}.dead-letters.v1",
        "key of the original record",
        "coronium.v1.DeadLetter",
        timedelta(days=90),
        max_bytes=MAX_DEAD_LETTER_BYTES,
    )


DEAD_LETTERS: dict[StageName, Topic] = {stage: _dead_letters(stage) for stage in StageName}

TOPICS: tuple[Topic, ...] = (
    SPECTRA,
    OBSERVATIONS,
    FEATURES,
    POSTERIORS,
    SLOW_FITS,
    EPOCHS,
    CONTROL,
    ATTEMPTS,
    *DEAD_LETTERS.values(),
)


@dataclass(frozen=True)
class TopicNames:
    """Names of topics and consumer groups under one prefix.

    Parameters
    ----------
    prefix : str
        First part of every name; several installations may share a cluster under different prefixes.
    """

    prefix: str = DEFAULT_PREFIX

    def name(self, topic: Topic) -> str:
        """Return the full name of a topic, for example ``coronium.spectra.v1``."""
        return f"{self.prefix}.{topic.suffix}"

    def group(self, stage: StageName) -> str:
        """Return the consumer group of a stage, for example ``coronium.fitting``."""
        return f"{self.prefix}.{stage.value}"

    def topic(self, name: str) -> Topic:
        """Return the topic of a full name.

        Raises
        ------
        KeyError
            The name is not one of ours.
        """
        for topic in TOPICS:
            if self.name(topic) == name:
                return topic
        raise KeyError(f"{name} is not a topic of {self.prefix}")

    def __iter__(self) -> Iterator[tuple[str, Topic]]:
        """Iterate over all (name, topic)."""
        return ((self.name(topic), topic) for topic in TOPICS)
