"""Fixtures that need a `broker` and nothing else: topics of its own for each test, services that end with it."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coronium.contract.topics import SPECTRA, StageName
from coronium.runtime.admin import create_topics
from tests._shared import REPOSITORY
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


@pytest.fixture
def start_plain_faust(stream: Stream) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start workers of `tests.stream.plain_faust` in extraction's place; killed at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def start(agent: str) -> subprocess.Popen[bytes]:
        arguments = [stream.address, stream.kafka.topics.group(StageName.EXTRACTION), stream.name(SPECTRA), agent]
        command = [sys.executable, "-m", "tests.stream.plain_faust", *arguments]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
