"""Everybody on the cluster may do what is declared for them and nothing beyond, asked of the broker itself."""

import contextlib
from collections.abc import Mapping

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    NewTopic,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    NoError,
    TopicAuthorizationFailedError,
)

from coronium import Client, NotAllowed
from coronium.brokers.handshake import refusal
from coronium.contract.access import Operation, Resource, Role, permissions
from coronium.contract.topics import (
    DEAD_LETTERS,
    DEFAULT_RETENTION,
    FEATURES,
    OBSERVATIONS,
    POSTERIORS,
    SPECTRA,
    TOPICS,
    StageName,
    Topic,
    TopicNames,
)
from coronium.operations import access
from coronium.operations.lag import group_lags
from coronium.operations.replay import replayed_letters, send, survey
from coronium.operations.replay_letters import DeadLetters, LetterFilter
from coronium.operations.replay_parts import TopicPart
from coronium.operations.topic_ranges import open_consumer
from coronium.runtime.admin import admin_client, create_topics, set_retention
from coronium.runtime.errors import Refused
from tests.kafka.secure import STRANGER, SecureCluster
from tests.stream.broker import Stream
from tests.stream.service import eventually
from tests.unit.spectra import good_spectrum

PREFIX, OTHER = "access", "access.other"
GROUPS = [TopicNames(prefix).group(stage) for prefix in (PREFIX, OTHER) for stage in StageName]
IMPLIED = {Operation.READ: Operation.DESCRIBE, Operation.WRITE: Operation.DESCRIBE}

Allowed = dict[tuple[Resource, str], frozenset[str]]


@pytest.fixture(scope="module")
def administrator(secure: SecureCluster) -> Stream:
    """Topics under two prefixes, the permissions under one of them, and a group of each stage."""
    secure.create_topics(OTHER)
    stream = secure.create_topics(PREFIX)
    access.apply(stream.kafka, {})
    assert not access.apply(stream.kafka, {}).created
    # The broker says only of groups that exist who may do what.
    admin = admin_client(stream.kafka)
    for group in GROUPS:
        eventually(lambda group=group: make_group(admin, group, stream.name(SPECTRA)), 30, "a group")
    admin.close()
    return stream


def make_group(admin: KafkaAdminClient, group: str, topic: str) -> bool:
    with contextlib.suppress(CoordinatorNotAvailableError, CoordinatorLoadInProgressError):
        faults = admin.alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})
        return set(faults.values()) == {NoError}
    return False


def told_by_the_broker(stream: Stream, names: list[str]) -> Allowed:
    """Return what the broker says that this principal may do."""
    admin = admin_client(stream.kafka)
    allowed: Allowed = {}
    for topic in admin.describe_topics(names):
        allowed[Resource.TOPIC, topic["name"]] = frozenset(topic["authorized_operations"] or ())
    for group in GROUPS:
        try:
            described = admin.describe_groups([group])[group]["authorized_operations"]
        except GroupAuthorizationFailedError:
            described = ()
        allowed[Resource.GROUP, group] = frozenset(described)
    admin.close()
    return allowed


def declared(role: Role, stream: Stream) -> Mapping[tuple[Resource, str], set[str]]:
    allowed: dict[tuple[Resource, str], set[str]] = {}
    for permission in permissions(role, stream.kafka.topics):
        operations = allowed.setdefault((permission.resource, permission.name), set())
        operations |= {permission.operation.name}
        if implied := IMPLIED.get(permission.operation):
            operations.add(implied.name)
    return allowed


@pytest.mark.parametrize("role", [*Role, STRANGER])
def test_the_broker_permits_what_is_declared_and_nothing_else(secure, administrator, role):
    stream = secure.stream(PREFIX, role)
    names = [secure.stream(prefix).name(topic) for prefix in (PREFIX, OTHER) for topic in TOPICS]
    wanted = declared(Role(role), stream) if role in set(Role) else {}
    assert {what: set(may) for what, may in told_by_the_broker(stream, names).items() if may} == wanted
    admin = admin_client(stream.kafka)
    assert admin.describe_cluster()["authorized_operations"] == []
    with pytest.raises(ClusterAuthorizationFailedError):
        admin.describe_acls(access._ALL)
    admin.close()


def produce(stream: Stream, topic: Topic) -> None:
    with KafkaProducer(**stream.kafka.connection.options(), enable_idempotence=False, max_block_ms=5000) as producer:
        producer.send(stream.name(topic), b"value", key=b"key").get(5)


def consume(stream: Stream, topic: Topic) -> None:
    with KafkaConsumer(**stream.kafka.connection.options(), group_id=None, enable_auto_commit=False) as consumer:
        if stream.name(topic) not in consumer.topics():
            raise TopicAuthorizationFailedError("not even to be seen")
        consumer.assign([TopicPartition(stream.name(topic), 0)])
        consumer.seek_to_beginning()
        consumer.poll(timeout_ms=1000)


def join(stream: Stream, group: str, topic: Topic) -> None:
    options = stream.kafka.connection.options()
    with KafkaConsumer(stream.name(topic), **options, group_id=group, enable_auto_commit=False) as consumer:
        consumer.poll(timeout_ms=1000)


def create(stream: Stream, name: str) -> None:
    admin = KafkaAdminClient(**stream.kafka.connection.options())
    try:
        admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        admin.close()


def replay(stream: Stream) -> None:
    consumer = open_consumer(stream.kafka)
    send(
        stream.kafka,
        DeadLetters(stream.kafka, consumer, LetterFilter(), replayed_letters(stream.kafka, consumer)),
        "id",
    )
    for topic in (SPECTRA, OBSERVATIONS, FEATURES):
        survey(TopicPart.between_times(stream.kafka, consumer, topic, 0.0, None))
    consumer.close()


PERMITTED = {
    "publisher writes spectra": (Role.PUBLISHER, lambda s: produce(s, SPECTRA)),
    "ingestion reads spectra": (Role.INGESTION, lambda s: consume(s, SPECTRA)),
    "ingestion joins its group": (Role.INGESTION, lambda s: join(s, f"{PREFIX}.ingestion", SPECTRA)),
    "ingestion writes what was submitted": (Role.INGESTION, lambda s: produce(s, SPECTRA)),
    "results reads dead letters": (Role.RESULTS, lambda s: consume(s, DEAD_LETTERS[StageName.FITTING])),
    "replay reads dead letters": (Role.REPLAY, lambda s: consume(s, DEAD_LETTERS[StageName.FITTING])),
    "replay writes spectra": (Role.REPLAY, lambda s: produce(s, SPECTRA)),
    "replay replays": (Role.REPLAY, lambda s: replay(s)),
    "topics changes what is kept": (Role.TOPICS, lambda s: set_retention(s.kafka, DEFAULT_RETENTION)),
    "lag exporter looks": (Role.LAG_EXPORTER, lambda s: group_lags(s.kafka)),
    "KEDA looks": (Role.KEDA, lambda s: group_lags(s.kafka)),
}

FORBIDDEN = {
    "publisher reads spectra": (Role.PUBLISHER, lambda s: consume(s, SPECTRA)),
    "publisher writes observations": (Role.PUBLISHER, lambda s: produce(s, OBSERVATIONS)),
    "publisher writes spectra of another prefix": (
        Role.PUBLISHER,
        lambda s: produce(Stream(s.address, OTHER, s.credentials), SPECTRA),
    ),
    "ingestion writes posteriors": (Role.INGESTION, lambda s: produce(s, POSTERIORS)),
    "ingestion joins another group": (Role.INGESTION, lambda s: join(s, f"{PREFIX}.extraction", SPECTRA)),
    "extraction reads spectra": (Role.EXTRACTION, lambda s: consume(s, SPECTRA)),
    "fitting writes another's dead letters": (
        Role.FITTING,
        lambda s: produce(s, DEAD_LETTERS[StageName.EXTRACTION]),
    ),
    "results writes posteriors": (Role.RESULTS, lambda s: produce(s, POSTERIORS)),
    "lag exporter reads": (Role.LAG_EXPORTER, lambda s: consume(s, SPECTRA)),
    "lag exporter joins": (Role.LAG_EXPORTER, lambda s: join(s, f"{PREFIX}.ingestion", SPECTRA)),
    "KEDA writes": (Role.KEDA, lambda s: produce(s, SPECTRA)),
    "replay reads posteriors": (Role.REPLAY, lambda s: consume(s, POSTERIORS)),
    "replay writes dead letters": (Role.REPLAY, lambda s: produce(s, DEAD_LETTERS[StageName.FITTING])),
    "topics writes": (Role.TOPICS, lambda s: produce(s, SPECTRA)),
    "topics creates another": (Role.TOPICS, lambda s: create(s, f"{PREFIX}.anything")),
}


@pytest.mark.parametrize(("role", "act"), PERMITTED.values(), ids=PERMITTED)
def test_a_client_does_what_it_needs(secure, administrator, role, act):
    act(secure.stream(PREFIX, role))


@pytest.mark.parametrize(("role", "act"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_client_does_nothing_beyond(secure, administrator, role, act):
    with pytest.raises(AuthorizationError):
        act(secure.stream(PREFIX, role))


def test_topics_are_made_by_the_principal_that_may_do_nothing_else(secure):
    administrator = secure.stream("made-by-topics")
    access.apply(administrator.kafka, {})
    maker = secure.stream("made-by-topics", Role.TOPICS)
    assert all(report.created for report in create_topics(maker.kafka, partitions=2))
    assert not any(report.created for report in create_topics(maker.kafka, partitions=2))
    with pytest.raises(Refused, match="user stranger lacks a permission on a topic"):
        create_topics(secure.stream("made-by-strangers", STRANGER).kafka)


def test_a_certificate_speaks_for_the_same_principal_as_the_password(secure, administrator):
    publisher = secure.mutual_stream(PREFIX, Role.PUBLISHER)
    with Client(kafka=publisher.kafka.connection, prefix=PREFIX) as client:
        client.publish(good_spectrum("by certificate"))
    with pytest.raises(TopicAuthorizationFailedError):
        produce(publisher, OBSERVATIONS)
    ingestion = secure.mutual_stream(PREFIX, Role.INGESTION)
    with (
        Client(kafka=ingestion.kafka.connection, prefix=OTHER) as client,
        pytest.raises(NotAllowed, match=rf"does not let the holder of .*ingestion.pem write to {OTHER}.spectra.v1"),
    ):
        client.publish(good_spectrum())


def test_what_nobody_declared_is_reported_and_deleted_only_on_demand(secure):
    stream = secure.create_topics("pruned")
    principals = {Role.PUBLISHER: "User:observatory"}
    assert len(access.apply(stream.kafka, principals).created) == len(access.grants(stream.kafka.topics, principals))

    def entry(name: str, pattern: str = "LITERAL", principal: str = "User:guest", allow: bool = True) -> ACL:
        return ACL(
            principal,
            "*",
            ACLOperation.READ,
            ACLPermissionType.ALLOW if allow else ACLPermissionType.DENY,
            ResourcePattern(ResourceType.TOPIC, name, ACLResourcePatternType[pattern]),
        )

    extra = [entry("pruned.spectra.v1"), entry("pruned.spec", "PREFIXED"), entry("pruned.epochs.v1", allow=False)]
    wider = [entry("*"), entry("pruned.", "PREFIXED"), entry("unrelated", principal="User:observatory")]
    admin = admin_client(stream.kafka)
    admin.create_acls([*extra, *wider, entry("nobody's business")])
    try:
        report = access.apply(stream.kafka, principals)
        assert not report.created
        assert report.extra == [
            "User:guest may Read on Topic pruned.spec*",
            "User:guest may Read on Topic pruned.spectra.v1",
            "User:guest must not Read on Topic pruned.epochs.v1",
        ]
        assert {words for words in report.wider if "guest" in words or "observatory" in words} == {
            "User:guest may Read on Topic *",
            "User:guest may Read on Topic pruned.*",
            "User:observatory may Read on Topic unrelated",
        }
        assert access.apply(stream.kafka, principals).extra == report.extra
        assert access.apply(stream.kafka, principals, prune=True).extra == report.extra
        after = access.apply(stream.kafka, principals)
        assert (after.extra, after.wider, after.created) == ([], report.wider, [])
    finally:
        admin.delete_acls([access._exactly(acl) for acl in wider])
        admin.close()


def test_a_user_is_made_and_given_another_password(secure, administrator):
    access.set_password(administrator.kafka, "new-user", "first")
    first = Stream(administrator.address, PREFIX, secure.credentials("new-user") | {"password": "first"})
    second = Stream(administrator.address, PREFIX, first.credentials | {"password": "second"})
    eventually(lambda: refusal(first.kafka.connection) is None, 20, "the first password")
    access.set_password(administrator.kafka, "new-user", "second")
    eventually(lambda: refusal(second.kafka.connection) is None, 20, "the second password")
    with pytest.raises(Refused, match="refuses user new-user"):
        admin_client(first.kafka)
    with pytest.raises(Refused, match="user stranger cannot set the password of new-user"):
        access.set_password(secure.stream(PREFIX, STRANGER).kafka, "new-user", "third")
