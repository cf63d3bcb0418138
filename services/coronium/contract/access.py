"""Who may do what on the Kafka cluster, declared once, each no more than it needs.

Who may read or write a topic, or read a group, may describe it: Kafka's rule, so that it need not be said. The
producers are not transactional, and who may write to a topic may be idempotent: nobody needs more of the cluster.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coronium.contract.flow import MEMORY, PRODUCTS, SOURCES
from coronium.contract.topics import (
    ATTEMPTS,
    CONTROL,
    DEAD_LETTERS,
    FEATURES,
    OBSERVATIONS,
    POSTERIORS,
    REPLAYS,
    SPECTRA,
    StageName,
    Topic,
    TopicNames,
)


class Role(StrEnum):
    """Everybody who needs a principal of their own."""

    PUBLISHER = "publisher"
    INGESTION = "ingestion"
    EXTRACTION = "extraction"
    FITTING = "fitting"
    RESULTS = "results"
    LAG_EXPORTER = "lag-exporter"
    KEDA = "keda"
    REPLAY = "replay"
    TOPICS = "topics"


PURPOSES: Mapping[Role, str] = {
    Role.PUBLISHER: "whoever publishes spectra over Kafka",
    Role.INGESTION: "the ingestion service",
    Role.EXTRACTION: "the extraction service",
    Role.FITTING: "the fitting service",
    Role.RESULTS: "the results service",
    Role.LAG_EXPORTER: "`coronium lag`",
    Role.KEDA: "KEDA, which scales the stages by their lag",
    Role.REPLAY: "`coronium replay`",
    Role.TOPICS: "`coronium topics create`, `list` and `set-retention`",
}


class Resource(StrEnum):
    """What a permission is about, as Kafka names it."""

    TOPIC = "Topic"
    GROUP = "Group"


class Operation(StrEnum):
    """What is permitted, as Kafka names it."""

    ALTER_CONFIGS = "AlterConfigs"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"
    READ = "Read"
    WRITE = "Write"


@dataclass(frozen=True, order=True)
class Permission:
    """One thing that a principal may do.

    Parameters
    ----------
    resource : Resource
    name : str
        Full name of the topic or group.
    operation : Operation
    """

    resource: Resource
    name: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def permissions(role: Role, names: TopicNames) -> tuple[Permission, ...]:
    """Return what a role needs, under the prefix of `names`."""
    return tuple(_permissions(role, names))


def stage_permissions(
    stage: StageName, sources: Sequence[Topic], products: Sequence[Topic], memory: Sequence[Topic], names: TopicNames
) -> tuple[Permission, ...]:
    """Return what a stage needs that reads and writes these topics.

    Parameters
    ----------
    stage : StageName
        Whose group, dead letters, attempts and control are meant.
    sources, products, memory : sequence of Topic
        As in `coronium.contract.flow`.
    names : TopicNames
    """
    remembered = (CONTROL, ATTEMPTS)
    return (
        *_topics(Operation.READ, dict.fromkeys((*sources, *memory, *remembered)), names),
        *_topics(Operation.WRITE, dict.fromkeys((*products, DEAD_LETTERS[stage], *remembered)), names),
        Permission(Resource.GROUP, names.group(stage), Operation.READ),
    )


def _permissions(role: Role, names: TopicNames) -> Iterator[Permission]:
    if role.value in set(StageName):
        stage = StageName(role.value)
        yield from stage_permissions(stage, SOURCES[stage], PRODUCTS[stage], MEMORY[stage], names)
    elif role is Role.PUBLISHER:
        yield from _topics(Operation.WRITE, [SPECTRA], names)
    elif role in (Role.LAG_EXPORTER, Role.KEDA):
        yield from _topics(Operation.DESCRIBE, _consumed(), names)
        for stage in StageName:
            yield Permission(Resource.GROUP, names.group(stage), Operation.DESCRIBE)
    elif role is Role.REPLAY:
        periods = (SPECTRA, OBSERVATIONS, FEATURES)
        yield from _topics(Operation.READ, [*DEAD_LETTERS.values(), *periods, REPLAYS], names)
        # A posterior that results had set aside goes back too.
        yield from _topics(Operation.WRITE, [*periods, POSTERIORS, REPLAYS], names)
    elif role is Role.TOPICS:
        topics = [topic for _, topic in names]
        for operation in (Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS):
            yield from _topics(operation, topics, names)


def _topics(operation: Operation, topics: Iterable[Topic], names: TopicNames) -> Iterator[Permission]:
    return (Permission(Resource.TOPIC, names.name(topic), operation) for topic in topics)


def _consumed() -> Iterable[Topic]:
    return dict.fromkeys(topic for sources in SOURCES.values() for topic in sources)
