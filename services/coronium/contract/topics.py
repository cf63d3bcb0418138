"""Every topic of the stream, declared once.

`coronium topics create` makes them from this file; no service creates one. All topics that carry targets have
the same number of partitions, so that a target lives in partition p everywhere and a rebalance moves its
epochs together with its features.
"""

from collections.abc import Iterator, Mapping
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


class Kept(StrEnum):
    """How long the records of a topic are kept: the kinds that share one setting."""

    SPECTRA = "spectra"
    INTERMEDIATE = "intermediate"
    POSTERIORS = "posteriors"
    DEAD_LETTERS = "dead_letters"
    # The newest record of each key, for ever.
    NEWEST = "newest"


DEFAULT_RETENTION: Mapping[Kept, timedelta] = {
    Kept.SPECTRA: timedelta(days=30),
    Kept.INTERMEDIATE: timedelta(days=7),
    Kept.POSTERIORS: timedelta(days=90),
    Kept.DEAD_LETTERS: timedelta(days=90),
}


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
    kept : Kept
        How long its records are kept.
    max_bytes : int
        Largest record.
    single_partition : bool
        Whether the topic has one partition whatever the others have (small ones that everybody reads whole).
    """

    suffix: str
    key: str
    message: str
    kept: Kept
    max_bytes: int = MAX_RECORD_BYTES
    single_partition: bool = False

    def partitions(self, count: int) -> int:
        """Return how many partitions this topic has where the topics of targets have `count`."""
        return 1 if self.single_partition else count

    @property
    def compacted(self) -> bool:
        """Whether the newest record of each key survives."""
        return self.kept is Kept.NEWEST

    def retention_milliseconds(self, retention: Mapping[Kept, timedelta] = DEFAULT_RETENTION) -> int:
        """Return how long records are kept, -1 for ever, as Kafka's ``retention.ms`` says it."""
        return -1 if self.compacted else int(retention[self.kept].total_seconds() * 1000)

    def configuration(self, retention: Mapping[Kept, timedelta] = DEFAULT_RETENTION) -> dict[str, str]:
        """Return the broker's configuration of this topic (Kafka's topic-level names)."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_bytes),
            # The broker's clock decides how long a record is kept. By its producer's, one that was stamped with the
            # time of an old observation would be gone at once, and one from a clock that runs ahead be refused.
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_milliseconds(retention)),
        }


SPECTRA = Topic("spectra.v1", "target", "coronium.v1.Spectrum", Kept.SPECTRA)
OBSERVATIONS = Topic("observations.v1", "target", "coronium.v1.Observation", Kept.INTERMEDIATE)
FEATURES = Topic("features.v1", "target", "coronium.v1.Features", Kept.INTERMEDIATE)
POSTERIORS = Topic("posteriors.v1", "target", "coronium.v1.Posterior", Kept.POSTERIORS, max_bytes=MEBIBYTE)
# Whoever fits them takes their time: they wait as long as a published spectrum.
SLOW_FITS = Topic("slow-fits.v1", "target", "coronium.v1.Features", Kept.SPECTRA)
EPOCHS = Topic("epochs.v1", "target/fingerprint", "coronium.v1.EpochRecord", Kept.NEWEST)
CONTROL = Topic(
    "control.v1",
    "stage (DesiredState) or stage/replica (ReplicaState)",
    "coronium.v1.DesiredState, coronium.v1.ReplicaState",
    Kept.NEWEST,
    max_bytes=MEBIBYTE,
    single_partition=True,
)
ATTEMPTS = Topic(
    "attempts.v1",
    "stage/topic/partition (last offset of the batch begun) or stage/topic/partition/offset (solo attempts)",
    "google.protobuf.UInt64Value",
    Kept.NEWEST,
    max_bytes=MEBIBYTE,
    single_partition=True,
)

REPLAYS = Topic(
    "replays.v1",
    "stage/topic/partition/offset/SHA-256 of a dead letter's record",
    "google.protobuf.StringValue (the replay that redrove it)",
    # A note outlives its dead letter, which was written before it.
    Kept.DEAD_LETTERS,
    max_bytes=MEBIBYTE,
    single_partition=True,
)


def _dead_letters(stage: StageName) -> Topic:
    return Topic(
        f"{stage.value}.dead-letters.v1",
        "key of the original record",
        "coronium.v1.DeadLetter",
        Kept.DEAD_LETTERS,
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
    REPLAYS,
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
