"""Fixtures that need a `broker` and nothing else: topics of its own for each test, services that end with it."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium.runtime.admin import create_topics
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service

_numbers = itertools.count(1)


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
