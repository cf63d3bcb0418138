"""A queue on the broker is no queue in memory."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.kafka.cluster import Cluster
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.posterior_factory import spectrum

pytestmark = pytest.mark.timeout(280)

QUEUED = 100_000
RECORD_BYTES = 900
"""Of a spectrum of forty bins."""
MEBIBYTE = 1024**2
FLAT_MIB = 64
"""Growth that is no queue: fetched batches, the allocator's slack. The queue itself is larger."""


def resident(service: Service) -> float:
    """Return the resident memory of a service and its worker in MiB."""
    family = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    return sum(process.memory_info().rss for process in family) / MEBIBYTE


def enqueue(stream: Stream, values: list[bytes], copies: int) -> None:
    """Publish values again and again over all partitions."""
    for start in range(0, copies * len(values), 10_000):
        stream.publish(SPECTRA, [(b"%d" % n, values[n % len(values)]) for n in range(start, start + 10_000)])


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """A thousand spectra of forty bins."""
    return [spectrum(f"star/{n}", seed=n).SerializeToString() for n in range(1000)]


def test_a_stage_that_stands_still_before_a_hundred_thousand_spectra_holds_none_of_them(
    cluster: Cluster, stream: Stream, start_service: Callable[..., Service], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    service = start_service().wait_until_ready()
    stream.publish(SPECTRA, [(b"a", b"1"), (b"a", f"wait:{gate}:2".encode())])
    eventually(lambda: service.metrics().count("coronium_messages_in_total{") and resident(service), 30)
    time.sleep(3)
    before = resident(service)
    arguments = ["--topic", stream.name(SPECTRA), "--num-records", str(QUEUED), "--record-size", str(RECORD_BYTES)]
    servers = ["--bootstrap-server", stream.address, "--throughput", "-1"]
    cluster.tool("kafka-producer-perf-test.sh", *arguments, *servers)
    assert QUEUED * RECORD_BYTES > FLAT_MIB * MEBIBYTE
    highest = before
    for _ in range(15):
        time.sleep(1)
        highest = max(highest, resident(service))
    assert highest - before < FLAT_MIB, f"{before:.0f} MiB before, {highest:.0f} MiB beside the queue"


@pytest.mark.slow
def test_ingestion_drains_a_hundred_thousand_spectra_in_flat_memory(
    stream: Stream, values: list[bytes], tmp_path: Path
) -> None:
    enqueue(stream, values, QUEUED // len(values))
    service = Service(stream, tmp_path / "service.log", "coronium.ingestion", INGESTION__REMEMBERED_SPECTRA="0")
    try:
        done = lambda: sum(stream.committed(StageName.INGESTION, SPECTRA).values())  # noqa: E731
        eventually(lambda: done() > 5_000, 60, "the first")
        samples, began, first = [], time.monotonic(), done()
        while (now := done()) < QUEUED:
            samples.append(resident(service))
            time.sleep(1)
        rate = (now - first) / (time.monotonic() - began)
        print(
            f"{rate:.0f} spectra/s; {samples[0]:.0f} MiB at first, {max(samples):.0f} at most, {samples[-1]:.0f} last"
        )
        assert max(samples) - samples[0] < FLAT_MIB
        assert len(stream.read(OBSERVATIONS)) == QUEUED
    finally:
        service.kill()
