"""The services with exactly their permissions: they do all their work, and lose nothing when these are taken away."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium import Client
from coronium.contract.access import Permission, Resource, Role, stage_permissions
from coronium.contract.topics import ATTEMPTS, CONTROL, OBSERVATIONS, SPECTRA, StageName
from coronium.operations import access
from coronium.operations.lag import group_lags
from coronium.runtime.admin import create_topics
from tests.kafka.secure import SecureCluster, grant, password_of, take_away
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually
from tests.stream.squares import SquareStage
from tests.unit.spectra import good_spectrum

pytestmark = pytest.mark.timeout(240)

STAGE = StageName.EXTRACTION

Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start services; whatever is left of them is killed at the end."""
    services: list[Service] = []

    def start(stream: Stream, module: str = "tests.stream.squares_service", **settings: str) -> Service:
        services.append(Service(stream, tmp_path / f"service{len(services)}.log", module, **settings))
        return services[-1]

    yield start
    for service in services:
        if service.process.poll() is None:
            service.kill()


def test_every_stage_does_all_its_work_with_exactly_its_permissions(
    secure: SecureCluster, start: Start, tmp_path: Path
) -> None:
    prefix = "whole"
    access.apply(secure.stream(prefix).kafka, {})
    create_topics(secure.stream(prefix, Role.TOPICS).kafka, partitions=PARTITIONS)
    results = {"RESULTS__DATABASE_URL": f"sqlite:///{tmp_path}/results.db"}
    # Each at its most talkative.
    debug = {"LOG_LEVEL": "debug"}
    # The network's word is passed on: nothing is fitted, and nothing compiled.
    quick = {"FITTING__MAX_RUNG": "network"}
    services = {
        # Two come with a certificate and no password.
        Role.INGESTION: start(secure.mutual_stream(prefix, Role.INGESTION), "coronium.ingestion", **debug),
        Role.EXTRACTION: start(secure.stream(prefix, Role.EXTRACTION), "coronium.extraction", **debug),
        Role.FITTING: start(secure.stream(prefix, Role.FITTING), "coronium.fitting", **quick, **debug),
        Role.RESULTS: start(secure.mutual_stream(prefix, Role.RESULTS), "coronium.results", **results, **debug),
    }
    for role, service in services.items():
        eventually(lambda s=service: s.said("ready") or s.process.poll() is not None, 90, f"{role} to be ready")
        assert service.process.poll() is None, service.log.read_text()

    address = f"127.0.0.1:{services[Role.RESULTS].grpc_port}"
    publisher = secure.stream(prefix, Role.PUBLISHER)
    with Client(address, kafka=publisher.kafka.connection, prefix=prefix) as client:
        published = set(client.publish([good_spectrum(f"star/{number}") for number in range(4)]))
        for stage, topic in (("ingestion", SPECTRA), ("extraction", OBSERVATIONS)):
            secure.stream(prefix).publish(topic, [(stage.encode(), b"nonsense")])
        submitter = Client(ingestion_address=f"127.0.0.1:{services[Role.INGESTION].grpc_port}")
        published.add(submitter.publish(good_spectrum("submitted")))
        submitter.close()
        stored = eventually(lambda: len(found := list(client.list())) == 5 and found, 60, "the results")
        assert {result.fingerprints[0] for result in stored} == published
        letters = eventually(lambda: len(found := list(client.dead_letters())) >= 2 and found, 30, "dead letters")
        assert {letter.stage for letter in letters} >= {"ingestion", "extraction"}

    watcher = secure.stream(prefix, Role.LAG_EXPORTER)
    eventually(lambda: not any(lag.behind for lag in group_lags(watcher.kafka)), 30, "all to be done")
    for role, service in services.items():
        assert service.terminate() == 0
        log = service.log.read_text()
        assert password_of(role) not in log
        assert "PRIVATE KEY" not in log
        assert "uthorization" not in log, log


def numbers(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"%d" % number, b"%d" % number) for number in range(first, last)]


def squares(stream: Stream) -> set[int]:
    return {int(value) for _, value in stream.read(OBSERVATIONS) if value is not None}


def committed(stream: Stream) -> int:
    return sum(stream.committed(STAGE, SPECTRA).values())


@pytest.fixture
def needed(secure: SecureCluster, request: pytest.FixtureRequest) -> tuple[Stream, list[Permission]]:
    """Topics of its own for a test, and what the small test stage needs there, granted to extraction's user."""
    stream = secure.create_topics(request.node.name)
    permissions = stage_permissions(STAGE, SquareStage.sources, SquareStage.products, (), stream.kafka.topics)
    grant(stream, Role.EXTRACTION, permissions)
    return stream, list(permissions)


def test_a_stage_that_loses_a_topic_waits_and_goes_on_when_it_is_given_back(
    secure: SecureCluster, start: Start, needed: tuple[Stream, list[Permission]]
) -> None:
    administrator, permissions = needed
    service = start(secure.stream(administrator.prefix, Role.EXTRACTION)).wait_until_ready()
    administrator.publish(SPECTRA, numbers(0, 10))
    eventually(lambda: committed(administrator) == 10, 60, "the first ten")
    published = 10
    for topic in (SPECTRA, OBSERVATIONS, ATTEMPTS, CONTROL):
        # Control is followed beside the work, which goes on without it.
        words = "reading a compacted topic failed" if topic is CONTROL else "put off"
        before = len(service.said(words))
        lost = [permission for permission in permissions if permission.name == administrator.name(topic)]
        take_away(administrator, Role.EXTRACTION, lost)
        administrator.publish(SPECTRA, numbers(published, published + 10))
        published += 10
        eventually(lambda w=words, b=before: len(service.said(w)) > b, 60, "the refusal")
        grant(administrator, Role.EXTRACTION, lost)
        eventually(lambda p=published: committed(administrator) == p, 60, "the rest")
    assert squares(administrator) == {number * number for number in range(published)}
    assert not administrator.dead_letters(STAGE)
    assert service.terminate() == 0


def test_a_stage_that_loses_its_group_ends_and_its_successor_misses_nothing(
    secure: SecureCluster, start: Start, needed: tuple[Stream, list[Permission]]
) -> None:
    administrator, permissions = needed
    stream = secure.stream(administrator.prefix, Role.EXTRACTION)
    service = start(stream).wait_until_ready()
    administrator.publish(SPECTRA, numbers(0, 10))
    eventually(lambda: committed(administrator) == 10, 60, "the first ten")
    group = [permission for permission in permissions if permission.resource is Resource.GROUP]
    take_away(administrator, Role.EXTRACTION, group)
    administrator.publish(SPECTRA, numbers(10, 20))
    assert service.process.wait(60) == 1
    assert service.said("the group is forbidden to us; nothing of the batch is committed")
    # Whatever restarts it finds a sentence until the group is given back.
    assert start(stream).process.wait(60) == 1
    grant(administrator, Role.EXTRACTION, group)
    successor = start(stream).wait_until_ready()
    eventually(lambda: committed(administrator) == 20, 60, "the rest")
    assert squares(administrator) == {number * number for number in range(20)}
    assert not administrator.dead_letters(STAGE)
    assert successor.terminate() == 0


def test_a_changed_password_is_noticed_with_the_next_connection_and_a_restart_with_the_new_one_misses_nothing(
    secure: SecureCluster, start: Start, needed: tuple[Stream, list[Permission]]
) -> None:
    administrator, _ = needed
    stream = secure.stream(administrator.prefix, Role.EXTRACTION)
    service = start(stream).wait_until_ready()
    administrator.publish(SPECTRA, numbers(0, 10))
    eventually(lambda: committed(administrator) == 10, 60, "the first ten")
    try:
        access.set_password(administrator.kafka, Role.EXTRACTION, "changed-secret")
        administrator.publish(SPECTRA, numbers(10, 20))
        eventually(lambda: committed(administrator) == 20, 60, "work over the old connections")
        secure.cluster.end(1, signal.SIGKILL)
        secure.cluster.start_node(1)
        administrator.publish(SPECTRA, numbers(20, 30))
        eventually(lambda: "invalid credentials" in service.log.read_text(), 60, "the refusal")
        assert service.process.poll() is None
        service.kill()
        changed = Stream(stream.address, stream.prefix, {**stream.credentials, "password": "changed-secret"})
        successor = start(changed).wait_until_ready()
        eventually(lambda: committed(administrator) == 30, 60, "the rest")
        assert squares(administrator) == {number * number for number in range(30)}
        assert not administrator.dead_letters(STAGE)
        assert successor.terminate() == 0
        assert "changed-secret" not in successor.log.read_text()
    finally:
        access.set_password(administrator.kafka, Role.EXTRACTION, password_of(Role.EXTRACTION))
