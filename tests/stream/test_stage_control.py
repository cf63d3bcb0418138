"""An operator steers a stage through any of its replicas."""

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coronium.contract.topics import SPECTRA, StageName
from coronium.v1 import control_pb2, control_pb2_grpc
from tests.stream.broker import Stream, free_port
from tests.stream.service import Service, eventually

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]


def committed(stream: Stream) -> int:
    return sum(stream.committed(STAGE, SPECTRA).values())


def test_pause_reload_log_level_and_drain_reach_every_replica(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.write_text("one")
    first = start_service(MODEL_FILE=str(model)).wait_until_ready()
    second = start_service(MODEL_FILE=str(model)).wait_until_ready()
    with first.channel() as a, second.channel() as b:
        here, there = control_pb2_grpc.ControlServiceStub(a), control_pb2_grpc.ControlServiceStub(b)

        def replicas_say(condition: Callable[[control_pb2.ReplicaState], bool]) -> bool:
            replicas = here.Status(control_pb2.StatusRequest(), timeout=5).replicas
            return len(replicas) == 2 and all(condition(replica) for replica in replicas)

        eventually(lambda: replicas_say(lambda replica: len(replica.partitions) == 1), 15, "both joined")

        there.Pause(control_pb2.PauseRequest(), timeout=5)
        eventually(lambda: replicas_say(lambda replica: replica.paused), 5, "the pause")
        stream.publish(SPECTRA, [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")])
        model.write_text("two")
        here.Reload(control_pb2.ReloadRequest(model_hash="two"), timeout=5)
        eventually(lambda: replicas_say(lambda replica: replica.model_hash == "two"), 10, "the reload")
        assert committed(stream) == 0

        here.Resume(control_pb2.ResumeRequest(), timeout=5)
        eventually(lambda: committed(stream) == 4, 10, "the commit")

        here.Reload(control_pb2.ReloadRequest(model_hash="three"), timeout=5)
        refused = "the installed model has hash two, not three"
        eventually(lambda: replicas_say(lambda r: r.reload_error == refused), 10, "the refusal")
        assert replicas_say(lambda replica: replica.model_hash == "two")
        stream.publish(SPECTRA, [(b"a", b"5")])
        eventually(lambda: committed(stream) == 5, 10, "work with the old model")

        there.SetLogLevel(control_pb2.SetLogLevelRequest(level="error"), timeout=5)
        here.Drain(control_pb2.DrainRequest(), timeout=5)
    assert first.process.wait(10) == 0
    assert second.process.wait(10) == 0


def test_a_model_that_was_refused_is_not_worked_with_after_the_worker_dies_either(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.write_text("one")
    service = start_service(MODEL_FILE=str(model)).wait_until_ready()
    with service.channel() as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)

        def say() -> control_pb2.ReplicaState:
            return stub.Status(control_pb2.StatusRequest(), timeout=5).replicas[0]

        def kill_the_worker() -> None:
            stream.publish(SPECTRA, [(b"a", b"abort"), (b"a", b"2")], partition=0)
            eventually(lambda: "coronium_worker_missing 1.0" in service.metrics(), 15, "the wait for the model")

        model.write_text("bad")
        stub.Reload(control_pb2.ReloadRequest(model_hash="two"), timeout=5)
        eventually(lambda: say().reload_error, 10, "the refusal")
        kill_the_worker()
        # A record is no more to blame for a model that does not load at all.
        model.unlink()
        eventually(lambda: len(service.said("no worker: put the model back or reload")) >= 4, 15, "further tries")
        assert (committed(stream), stream.dead_letters(STAGE), say().model_hash) == (0, [], "one")
        model.write_text("one")
        eventually(lambda: committed(stream) == 2, 15, "work with the old model")

        model.write_text("two")
        kill_the_worker()
        stub.Reload(control_pb2.ReloadRequest(model_hash="two"), timeout=5)
        eventually(lambda: committed(stream) == 4, 15, "work with the new model")
        assert say().model_hash == "two"
    assert [letter.value for letter in stream.dead_letters(STAGE)] == [b"abort"] * 2
    assert service.terminate() == 0


def test_a_replica_that_starts_while_the_stage_is_paused_waits_for_the_resume(
    stream: Stream, start_service: Start
) -> None:
    stream.publish(SPECTRA, [(b"a", b"1")])
    first = start_service().wait_until_ready()
    with first.channel() as channel:
        control_pb2_grpc.ControlServiceStub(channel).Pause(control_pb2.PauseRequest(), timeout=5)
    assert first.terminate() == 0
    second = start_service().wait_until_ready()
    with second.channel() as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        eventually(lambda: stub.Status(control_pb2.StatusRequest(), timeout=5).replicas[0].partitions, 10)
        assert committed(stream) == 0
        stub.Resume(control_pb2.ResumeRequest(), timeout=5)
        eventually(lambda: committed(stream) == 1, 10, "the commit")


def test_health_answers_and_a_call_without_a_deadline_is_refused(start_service: Start) -> None:
    service = start_service().wait_until_ready()
    with service.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="coronium.v1.ControlService")
        assert health.Check(request, timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError, match="set a deadline"):
            control_pb2_grpc.ControlServiceStub(channel).Status(control_pb2.StatusRequest())


def test_a_missing_broker_or_topic_is_one_sentence_and_an_exit_code(
    broker: str, start_service: Start, tmp_path: Path
) -> None:
    nowhere = Service(Stream(f"127.0.0.1:{free_port()}", "x"), tmp_path / "nowhere.log")
    assert nowhere.process.wait(40) == 4
    sentence = nowhere.log.read_text()
    assert "no Kafka broker answers at 127.0.0.1" in sentence
    assert "Traceback" not in sentence
    empty = Service(Stream(broker, "nothing-made-here"), tmp_path / "empty.log")
    assert empty.process.wait(20) == 1
    assert "create them with `coronium topics create`" in empty.log.read_text()
