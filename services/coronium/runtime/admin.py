"""Create the topics, and say which are missing or differ. What exists is changed only by `set_retention`."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    AuthorizationError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from coronium.contract.topics import DEFAULT_PARTITIONS, DEFAULT_RETENTION, Kept, Topic
from coronium.runtime.brokers import admitted_options
from coronium.runtime.errors import Refused, StartError, Unreachable
from coronium.runtime.settings import KafkaSettings

_CONNECT_MILLISECONDS = 5_000
"""kafka-python's own 30 s are long for somebody who mistyped an address."""


@dataclass(frozen=True)
class TopicReport:
    """What `create_topics` found or did for one topic.

    Parameters
    ----------
    name : str
        Full name.
    partitions : int
        As they are now.
    wanted : int
        As they should be; a difference is reported and left alone, because a changed count moves targets.
    created : bool
        Made by this call.
    retention_ms : int or None
        How long the broker keeps records; -1 for ever, None where it does not say.
    wanted_retention_ms : int
        As the settings say; a difference is reported, `set_retention` applies it.
    """

    name: str
    partitions: int
    wanted: int
    created: bool
    retention_ms: int | None
    wanted_retention_ms: int

    @property
    def differs(self) -> bool:
        """Whether the partition count is not the wanted one."""
        return self.partitions != self.wanted

    @property
    def retention_differs(self) -> bool:
        """Whether the broker keeps records for another time than the settings say."""
        return self.retention_ms is not None and self.retention_ms != self.wanted_retention_ms


def admin_client(kafka: KafkaSettings) -> KafkaAdminClient:
    """Connect.

    Raises
    ------
    SettingsError
        A certificate or a key cannot be used.
    Refused
        A broker does not let us in.
    Unreachable
        None answers.
    """
    options = admitted_options(kafka)
    library = logging.getLogger("kafka")
    level = library.level
    # Every try is an error line of its own; the one sentence says it all.
    library.setLevel(logging.CRITICAL)
    try:
        return KafkaAdminClient(**options, bootstrap_timeout_ms=_CONNECT_MILLISECONDS)
    except KafkaError:
        raise unreachable(kafka) from None
    finally:
        library.setLevel(level)


def unreachable(kafka: KafkaSettings) -> Unreachable:
    """Return the error for a broker that does not answer."""
    return Unreachable(
        f"no Kafka broker answers at {kafka.bootstrap_servers}; start one, or set "
        "CORONIUM_KAFKA__BOOTSTRAP_SERVERS to where yours is."
    )


def explained(kafka: KafkaSettings, error: KafkaError) -> StartError:
    """Return the error to tell for one of the library's."""
    if isinstance(error, AuthorizationError):
        what = {TopicAuthorizationFailedError: "a topic", GroupAuthorizationFailedError: "a group"}
        return Refused(
            f"{kafka.connection.who} lacks a permission on {what.get(type(error), 'the cluster itself')} at the Kafka "
            f"cluster {kafka.bootstrap_servers}; `coronium topics access` lists what everybody needs."
        )
    return unreachable(kafka)


def existing(kafka: KafkaSettings) -> dict[str, int]:
    """Return all topics that we may see with their partition counts. Raises what `admin_client` raises."""
    admin = admin_client(kafka)
    try:
        return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()


def create_topics(
    kafka: KafkaSettings,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int = 1,
    retention: Mapping[Kept, timedelta] = DEFAULT_RETENTION,
) -> list[TopicReport]:
    """Create the topics that are missing and report on all.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, and under which prefix.
    partitions : int
        Of every topic that carries targets.
    replication : int
        Copies of each partition.
    retention : mapping of Kept to timedelta
        How long each kind of topic keeps its records.

    Raises
    ------
    Refused
        A broker does not let us in, or we may not create topics.
    Unreachable
        The broker does not answer.
    """
    there = existing(kafka)
    wanted = {name: topic.partitions(partitions) for name, topic in kafka.topics}
    admin = admin_client(kafka)
    try:
        created = {
            name
            for name, topic in kafka.topics
            if name not in there and _create(admin, name, topic, wanted[name], replication, retention)
        }
        # The answer comes before every broker knows the topic.
        admin.wait_for_topics(list(wanted))
        kept = _retentions(admin, wanted)
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()
    there = existing(kafka)
    return [
        TopicReport(
            name,
            there.get(name, wanted[name]),
            wanted[name],
            name in created,
            kept.get(name),
            topic.retention_milliseconds(retention),
        )
        for name, topic in kafka.topics
    ]


def retentions(kafka: KafkaSettings, names: Iterable[str]) -> dict[str, int]:
    """Return for how many milliseconds the broker keeps the records of topics; -1 for ever. Raises `Unreachable`."""
    admin = admin_client(kafka)
    try:
        return _retentions(admin, names)
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()


def set_retention(kafka: KafkaSettings, retention: Mapping[Kept, timedelta]) -> dict[str, tuple[int, int]]:
    """Give the topics that exist the retention of the settings; a shorter one deletes records at once.

    Returns
    -------
    dict of str to (int, int)
        Milliseconds before and after, of the topics that were changed.

    Raises
    ------
    Unreachable
        The broker does not answer.
    """
    there = existing(kafka)
    admin = admin_client(kafka)
    try:
        before = _retentions(admin, [name for name, _ in kafka.topics if name in there])
        wanted = {name: topic.retention_milliseconds(retention) for name, topic in kafka.topics}
        changed = {name: (old, wanted[name]) for name, old in before.items() if old != wanted[name]}
        if changed:
            admin.alter_configs(
                [
                    ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": str(new)})
                    for name, (_, new) in changed.items()
                ]
            )
        return changed
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()


def _retentions(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    # All values: the embedded broker hangs up on a question for one.
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not asked:
        return {}
    try:
        found = admin.describe_configs(asked, config_filter="all").get("topic", {})
    except TopicAuthorizationFailedError:
        # Who may see a topic need not know how long it keeps its records.
        return {}
    return {name: int(values["retention.ms"]["value"]) for name, values in found.items() if "retention.ms" in values}


def _create(
    admin: KafkaAdminClient,
    name: str,
    topic: Topic,
    partitions: int,
    replication: int,
    retention: Mapping[Kept, timedelta],
) -> bool:
    new = NewTopic(name, partitions, replication, topic_configs=topic.configuration(retention))
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:
        return False
    return True
