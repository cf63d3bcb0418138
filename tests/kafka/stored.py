"""Services beside a results database, and what is in it: for the tests of getting everything back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import text

from coronium.contract.topics import StageName, Topic
from coronium.results.backup import inventory_of
from coronium.results.database import open_engine, upgrade
from coronium.results.inventory import Inventory
from coronium.results.models import Base
from coronium.results.queries import Queries
from coronium.v1 import results_pb2
from coronium.v1.dead_letter_pb2 import DeadLetter
from coronium.v1.posterior_pb2 import Posterior
from tests._shared import REPOSITORY
from tests.stream.broker import Stream
from tests.stream.service import Service

Start = Callable[..., Service]


@pytest.fixture
def start(stream: Stream, tmp_path: Path) -> Iterator[Start]:
    """Start services by their module; what is left is killed at the end."""
    services: list[Service] = []

    def start_one(module: str, **settings: str) -> Service:
        services.append(Service(stream, tmp_path / f"service{len(services)}.log", module, **settings))
        return services[-1]

    yield start_one
    for service in services:
        if service.process.poll() is None:
            service.kill()


@pytest.fixture
def start_results(start: Start) -> Start:
    """Start the results service on the database of an address."""

    def start_one(url: str, **settings: str) -> Service:
        return start("coronium.results", RESULTS__DATABASE_URL=url, **settings).wait_until_ready()

    return start_one


def coronium(stream: Stream, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator would."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CORONIUM_")}
    where = {"CORONIUM_KAFKA__BOOTSTRAP_SERVERS": stream.address, "CORONIUM_KAFKA__PREFIX": stream.prefix}
    return subprocess.run(
        [sys.executable, "-c", "from coronium.cli.main import main; main()", *arguments],
        cwd=REPOSITORY,
        env=clean | where | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what a command answered with --json."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def publish(stream: Stream, topic: Topic, *messages: Message) -> None:
    """Publish messages under their targets, or sources."""
    keys = [getattr(message, "target", "") or getattr(message, "source_topic", "") for message in messages]
    stream.publish(
        topic, [(key.encode(), message.SerializeToString()) for key, message in zip(keys, messages, strict=True)]
    )


def committed(stream: Stream, topic: Topic) -> int:
    """Return how many records of a topic results has finished."""
    return sum(stream.committed(StageName.RESULTS, topic).values())


def inventory(url: str) -> Inventory:
    """Return what is in a database."""
    engine = open_engine(url)
    try:
        return inventory_of(engine)
    finally:
        engine.dispose()


def results(url: str, *, superseded: bool = True) -> dict[str, Posterior]:
    """Return the results by their ids."""
    engine = open_engine(url)
    page = Queries(engine).results(results_pb2.ResultFilter(include_superseded=superseded), 1000, "")
    engine.dispose()
    assert not page.next_token
    found = [Posterior.FromString(message) for message in page.messages]
    assert len({one.result_id for one in found}) == len(found)
    return {one.result_id: one for one in found}


def open_letters(url: str) -> list[DeadLetter]:
    """Return the dead letters that nothing has beaten."""
    engine = open_engine(url)
    page = Queries(engine).dead_letters("", 1000, "")
    engine.dispose()
    return [DeadLetter.FromString(message) for message in page.messages]


def lose(url: str) -> None:
    """Take a database away, and put an empty one with the schema in its place."""
    engine = open_engine(url)
    if engine.url.get_backend_name() == "sqlite":
        engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{engine.url.database}{suffix}").unlink(missing_ok=True)
    else:
        with engine.begin() as connection:
            Base.metadata.drop_all(connection)
            connection.execute(text("DROP TABLE alembic_version"))
        upgrade(engine)
        engine.dispose()
