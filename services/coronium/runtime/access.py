"""Whether the broker lets us do what we must, asked before the work begins."""

from collections.abc import Iterable, Mapping

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from coronium.contract.access import Permission, Resource
from coronium.runtime.admin import admin_client, explained
from coronium.runtime.errors import Refused, StartError
from coronium.runtime.settings import KafkaSettings


def require(kafka: KafkaSettings, permissions: Iterable[Permission]) -> dict[str, int]:
    """See that the topics are there and that we may do all this.

    A broker that knows no permissions permits everything.

    Parameters
    ----------
    kafka : KafkaSettings
        Where, and as whom.
    permissions : iterable of Permission

    Returns
    -------
    dict of str to int
        The partitions of each topic.

    Raises
    ------
    StartError
        Topics are missing.
    Refused
        We are not let in, or something is not permitted.
    Unreachable
        No broker answers.
    """
    asked = list(permissions)
    admin = admin_client(kafka)
    try:
        topics = _topics(admin, asked)
        groups = _groups(admin, asked)
    except KafkaError as error:
        raise explained(kafka, error) from None
    finally:
        admin.close()
    allowed = {(Resource.TOPIC, name): operations for name, (operations, _) in topics.items()} | groups
    lacking = [permission for permission in asked if not _permitted(permission, allowed)]
    if lacking:
        raise Refused(
            f"{kafka.connection.who} lacks {', '.join(map(str, lacking))} on the Kafka cluster at "
            f"{kafka.bootstrap_servers}; an administrator grants it with `coronium topics access --apply`."
        )
    missing = [name for name, (_, partitions) in topics.items() if not partitions]
    if missing:
        raise StartError(f"there is no topic {', '.join(missing)}; create them with `coronium topics create`.")
    return {name: partitions for name, (_, partitions) in topics.items()}


Operations = frozenset[str] | None
"""Kafka's names of what is permitted; None where the broker does not say."""


def _permitted(permission: Permission, allowed: Mapping[tuple[Resource, str], Operations]) -> bool:
    operations = allowed[permission.resource, permission.name]
    return operations is None or permission.operation.name in operations


def _topics(admin: KafkaAdminClient, permissions: Iterable[Permission]) -> dict[str, tuple[Operations, int]]:
    names = list(dict.fromkeys(p.name for p in permissions if p.resource is Resource.TOPIC))
    found: dict[str, tuple[Operations, int]] = {}
    for topic in admin.describe_topics(names):
        fault = for_code(topic["error_code"])
        if fault is TopicAuthorizationFailedError:
            found[topic["name"]] = (frozenset(), 0)
        elif fault in (NoError, UnknownTopicOrPartitionError):
            partitions = topic["partitions"] if fault is NoError else ()
            found[topic["name"]] = (_operations(topic["authorized_operations"]), len(partitions))
        else:
            raise fault(topic["name"])
    return found


def _groups(admin: KafkaAdminClient, permissions: Iterable[Permission]) -> dict[tuple[Resource, str], Operations]:
    names = dict.fromkeys(p.name for p in permissions if p.resource is Resource.GROUP)
    found: dict[tuple[Resource, str], Operations] = {}
    for name in names:
        try:
            described = admin.describe_groups([name])[name]
            found[Resource.GROUP, name] = _operations(described["authorized_operations"])
        except AuthorizationError:
            found[Resource.GROUP, name] = frozenset()
        except (KafkaError, ValueError):
            # A cluster that never had a group has nobody yet who could say; the embedded broker, which permits
            # everything, answers with bits that Kafka has no names for.
            found[Resource.GROUP, name] = None
    return found


def _operations(names: Iterable[str] | None) -> Operations:
    return frozenset(names) if names else None
