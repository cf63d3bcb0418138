"""What an operator asks for reaches replicas that are not there yet, and loses nothing under load."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from coronium.contract.topics import CONTROL, OBSERVATIONS, SPECTRA, TOPICS, StageName
from coronium.runtime.admin import existing
from coronium.v1 import control_pb2, control_pb2_grpc
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(150)

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]


@contextmanager
def control(service: Service) -> Iterator[control_pb2_grpc.ControlServiceStub]:
    """Speak to the ControlService of a replica."""
    with service.channel() as channel:
        yield control_pb2_grpc.ControlServiceStub(channel)


def replicas(service: Service) -> list[control_pb2.ReplicaState]:
    with control(service) as stub:
        return list(stub.Status(control_pb2.StatusRequest(), timeout=5).replicas)


def committed(stream: Stream) -> int:
    return sum(stream.committed(STAGE, SPECTRA).values())


def test_two_are_paused_and_a_third_that_starts_does_not_consume(stream: Stream, start_service: Start) -> None:
    first, second = start_service().wait_until_ready(), start_service().wait_until_ready()
    eventually(lambda: [len(replica.partitions) for replica in replicas(first)] == [1, 1], 30, "both joined")
    with control(second) as stub:
        stub.Pause(control_pb2.PauseRequest(), timeout=5)
    eventually(lambda: all(replica.paused for replica in replicas(first)), 15, "the pause")
    third = start_service().wait_until_ready()
    stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in range(30)])
    eventually(lambda: len(replicas(third)) == 3, 20, "the third")
    time.sleep(3)
    assert committed(stream) == 0
    assert not stream.read(OBSERVATIONS)
    assert all(replica.paused for replica in replicas(third))
    with control(third) as stub:
        stub.Resume(control_pb2.ResumeRequest(), timeout=5)
    eventually(lambda: committed(stream) == 30, 30, "the work")
    assert sorted(int(value or b"") for _, value in stream.read(OBSERVATIONS)) == [n * n for n in range(30)]


def test_reloads_under_load_lose_nothing_and_a_bad_hash_leaves_the_old_model_also_when_the_worker_dies(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.write_text("one")
    service = start_service(MODEL_FILE=str(model)).wait_until_ready()
    total, stop = 0, threading.Event()

    def load() -> None:
        nonlocal total
        while not stop.is_set():
            numbers = range(total, total + 20)
            stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in numbers])
            total += 20

    loader = threading.Thread(target=load)
    loader.start()
    try:
        with control(service) as stub:
            for number in ("two", "three"):
                model.write_text(number)
                stub.Reload(control_pb2.ReloadRequest(model_hash=number), timeout=5)
                eventually(lambda number=number: replicas(service)[0].model_hash == number, 30, "the reload")
                before = committed(stream)
                eventually(lambda before=before: committed(stream) > before, 30, "work with it")
            stub.Reload(control_pb2.ReloadRequest(model_hash="of another model"), timeout=5)
            refusal = "the installed model has hash three, not of another model"
            eventually(lambda: replicas(service)[0].reload_error == refusal, 30, "the refusal")
            assert replicas(service)[0].model_hash == "three"
            assert "coronium_reload_errors_total 1.0" in service.metrics()
            model.write_text("of nobody")
            stream.publish(SPECTRA, [(b"poison", b"abort")])
            eventually(lambda: "coronium_worker_missing 1.0" in service.metrics(), 30, "the wait for the model")
            model.write_text("three")
            eventually(lambda: stream.dead_letters(STAGE), 30, "the poison set aside")
    finally:
        stop.set()
        loader.join()
    eventually(lambda: committed(stream) == total + 1, 60, "the last")
    squares = {int(value or b"") for _, value in stream.read(OBSERVATIONS)}
    assert squares == {n * n for n in range(total)}
    assert [letter.value for letter in stream.dead_letters(STAGE)] == [b"abort"]


def test_a_service_listens_where_it_was_told_and_makes_no_topic(stream: Stream, start_service: Start) -> None:
    before = existing(stream.kafka)
    service = start_service().wait_until_ready()
    stream.publish(SPECTRA, [(b"1", b"1")])
    eventually(lambda: committed(stream) == 1, 30, "work")
    family = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    listening = {
        (found.laddr.ip.removeprefix("::ffff:"), found.laddr.port)
        for process in family
        for found in process.net_connections()
        if found.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", service.grpc_port), ("127.0.0.1", service.metrics_port)}
    after = existing(stream.kafka)
    own = {name for name in after if name.startswith(stream.kafka.topics.prefix)}
    assert own == {stream.name(topic) for topic in TOPICS}
    # Only what Kafka keeps for itself may have come.
    assert after.keys() - before.keys() <= {"__consumer_offsets"}
    assert stream.read(CONTROL)
