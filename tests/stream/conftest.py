"""Fixtures of the stream tests: one embedded broker for all, topics of its own for each test."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium.runtime.admin import create_topics
from tests.stream.broker import PARTITIONS, Stream, embedded_broker
from tests.stream.service import Service

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an embedded broker; its records live in memory until the last test has ended."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as address:
        yield address


@pytest.fixture
def stream(broker: str) -> Stream:
    """All topics under a prefix of their own."""
    stream = Stream(broker, f"test{next(_numbers)}")
    create_topics(stream.kafka, partitions=PARTITIONS)
    return stream


@pytest.fixture
def start_service(stream: Stream, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services of the test stage; whatever is left of them is killed at the end."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        services.append(Service(stream, tmp_path / f"service{len(services)}.log", **settings))
        return services[-1]

    yield start
    for service in services:
        if service.process.poll() is None:
            service.kill()
