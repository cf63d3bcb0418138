"""The results service on a broker: whatever is published, in whatever order and how often, is in the store once."""

from __future__ import annotations

import json
import random
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName, Topic
from coronium.results.database import open_engine
from coronium.results.queries import Queries
from coronium.v1 import posterior_pb2, results_pb2, results_pb2_grpc
from tests.stream.broker import Stream, free_port
from tests.stream.service import Service, eventually
from tests.unit.posterior_factory import dead_letter, joint, observation, posterior
from tests.unit.results_databases import database_url, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "postgresql", "postgresql_url", "sqlite_url"]

Start = Callable[..., Service]
EVERYTHING = results_pb2.ResultFilter(include_superseded=True)


@pytest.fixture
def start(stream: Stream, tmp_path: Path) -> Iterator[Start]:
    """Start the service as `python -m coronium.results` runs it; what is left is killed at the end."""
    services: list[Service] = []

    def start_one(url: str, module: str = "coronium.results", **settings: str) -> Service:
        log = tmp_path / f"service{len(services)}.log"
        services.append(Service(stream, log, module, RESULTS__DATABASE_URL=url, **settings))
        return services[-1]

    yield start_one
    for service in services:
        if service.process.poll() is None:
            service.kill()


def publish(stream: Stream, topic: Topic, *messages: Message, key: str = "target") -> None:
    stream.publish(topic, [(f"{getattr(one, key, '')}".encode(), one.SerializeToString()) for one in messages])


def committed(stream: Stream, topic: Topic) -> int:
    return sum(stream.committed(StageName.RESULTS, topic).values())


def stored(url: str) -> dict[str, posterior_pb2.Posterior]:
    """Everything in the results table, by result id; fails where an id is there twice."""
    engine = open_engine(url)
    queries, token, found = Queries(engine), "", []
    while True:
        page = queries.results(EVERYTHING, 1000, token)
        found += [posterior_pb2.Posterior.FromString(message) for message in page.messages]
        token = page.next_token
        if not token:
            break
    engine.dispose()
    assert len({one.result_id for one in found}) == len(found)
    return {one.result_id: one for one in found}


def test_what_comes_twice_and_out_of_order_is_in_the_store_once(
    stream: Stream, start: Start, database_url: str
) -> None:
    targets = [f"sun/ar12807/x{column:03d}y001" for column in range(20)]
    singles = [posterior(target) for target in targets]
    joints = [joint("capella", seeds=range(count)) for count in range(2, 7)]
    published = (singles + joints) * 2
    random.Random(5).shuffle(published)
    letters = [dead_letter(targets[0]), dead_letter("sun/nowhere", offset=8)]
    publish(stream, DEAD_LETTERS[StageName.FITTING], *letters)
    publish(stream, POSTERIORS, *published)
    publish(stream, OBSERVATIONS, *(observation(target) for target in targets), key="fingerprint")
    stream.publish(POSTERIORS, [(b"poison", b"\xff not a posterior")])

    service = start(database_url).wait_until_ready()
    eventually(lambda: committed(stream, POSTERIORS) == len(published) + 1, 30, "the last posterior")
    eventually(lambda: committed(stream, OBSERVATIONS) == len(targets), 30, "the last observation")
    assert stored(database_url).keys() == {one.result_id for one in singles + joints}

    with service.channel() as channel:
        results = results_pb2_grpc.ResultsServiceStub(channel)
        current = results.List(results_pb2.ListRequest(filter=results_pb2.ResultFilter(target="capella")), timeout=10)
        assert [one.result_id for one in current.posteriors] == [joints[-1].result_id]
        fingerprint = singles[0].fingerprints[0]
        got = results.Get(results_pb2.GetRequest(id=fingerprint, with_observation=True), timeout=10)
        assert got.posterior == singles[0]
        assert got.observation == observation(targets[0])

        def own_dead_letter_is_stored() -> list[str]:
            listed = results.ListDeadLetters(results_pb2.ListDeadLettersRequest(), timeout=10)
            return sorted(letter.stage for letter in listed.dead_letters) if listed.total == 2 else []

        # One beaten by a result, one not, and the poison that results itself set aside.
        assert eventually(own_dead_letter_is_stored, 20, "the own dead letter") == ["fitting", "results"]
    assert service.terminate() == 0, service.log.read_text()


def test_a_kill_in_the_middle_of_a_transaction_loses_nothing_and_doubles_nothing(
    stream: Stream, start: Start, sqlite_url: str
) -> None:
    first, second = ([posterior(seeds=(seed,)) for seed in range(start, start + 40)] for start in (0, 40))
    service = start(sqlite_url).wait_until_ready()
    publish(stream, POSTERIORS, *first)
    eventually(lambda: committed(stream, POSTERIORS) == 40, 30, "the first half")

    lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    publish(stream, POSTERIORS, *second)
    eventually(lambda: begun(stream) > 40, 20, "the second half")
    service.kill()
    lock.execute("ROLLBACK")
    lock.close()
    assert committed(stream, POSTERIORS) == 40
    assert len(stored(sqlite_url)) == 40

    start(sqlite_url)
    eventually(lambda: committed(stream, POSTERIORS) == 80, 30, "the rest")
    assert stored(sqlite_url).keys() == {one.result_id for one in first + second}


def begun(stream: Stream) -> int:
    return sum(stream.begun(StageName.RESULTS, POSTERIORS, partition) for partition in range(2))


def test_kills_at_any_moment_leave_every_result_once(stream: Stream, start: Start, postgresql_url: str) -> None:
    sent = [posterior(seeds=(seed,)) for seed in range(100)]
    for half, pause in ((sent[:50], 0.0), (sent[50:], 0.1)):
        publish(stream, POSTERIORS, *half)
        service = start(postgresql_url).wait_until_ready()
        before = committed(stream, POSTERIORS)
        eventually(lambda before=before: committed(stream, POSTERIORS) > before, 30, "some progress")
        time.sleep(pause)
        service.kill()
    start(postgresql_url)
    eventually(lambda: committed(stream, POSTERIORS) == 100, 30, "the last commit")
    assert stored(postgresql_url).keys() == {one.result_id for one in sent}


def test_a_database_that_goes_away_is_waited_for(stream: Stream, start: Start, sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    service = start(sqlite_url).wait_until_ready()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE results RENAME TO away")
    publish(stream, POSTERIORS, posterior())
    eventually(lambda: "coronium_transient_faults_total 0.0" not in service.metrics(), 20, "the fault")
    assert committed(stream, POSTERIORS) == 0
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE away RENAME TO results")
    eventually(lambda: committed(stream, POSTERIORS) == 1, 40, "the result")
    assert stored(sqlite_url).keys() == {posterior().result_id}
    assert not stream.dead_letters(StageName.RESULTS)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://astronomer:secret@127.0.0.1:1/results", "127.0.0.1"),
        ("nonsense", "CORONIUM_RESULTS__DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_and_exit_4(
    stream: Stream, start: Start, url: str, named: str
) -> None:
    service = start(url)
    assert service.process.wait(30) == 4
    said = [line for line in service.log.read_text().splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith("coronium results: ")
    assert named in said[0]
    assert "secret" not in said[0]


def test_the_gateway_serves_what_the_stream_stored(stream: Stream, start: Start, sqlite_url: str) -> None:
    results = start(sqlite_url).wait_until_ready()
    port = free_port()
    gateway = start(
        sqlite_url,
        "coronium.gateway",
        GATEWAY__PORT=str(port),
        GATEWAY__UPSTREAM__RESULTS=f"127.0.0.1:{results.grpc_port}",
    ).wait_until_ready()
    publish(stream, POSTERIORS, posterior())
    eventually(lambda: committed(stream, POSTERIORS) == 1, 30, "the result")

    def get(path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return json.load(response)

    assert get("/v1/results")["total"] == 1
    assert get(f"/v1/results/{posterior().fingerprints[0]}")["result_id"] == posterior().result_id
    assert get("/readyz") == {"status": "ready", "results": "serving", "ingestion": "not serving"}
    assert results.terminate() == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        get("/v1/results")
    assert refused.value.code == 503
    assert gateway.terminate() == 0, gateway.log.read_text()


def test_a_gateway_whose_port_is_taken_says_so_in_one_sentence(stream: Stream, start: Start, sqlite_url: str) -> None:
    port = str(free_port())
    start(sqlite_url, "coronium.gateway", GATEWAY__PORT=port).wait_until_ready()
    second = start(sqlite_url, "coronium.gateway", GATEWAY__PORT=port)
    assert second.process.wait(20) == 1
    said = second.log.read_text().splitlines()
    assert len(said) == 1
    assert port in said[0]
