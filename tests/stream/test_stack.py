"""The embedded stack: everything starts, names its addresses, survives a death and stops cleanly."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coronium.client.client import Client
from coronium.contract.flow import SOURCES
from coronium.extraction.stage import ExtractionStage
from coronium.fitting.stage import FittingStage
from coronium.ingestion.stage import IngestionStage
from coronium.operations import health
from coronium.operations.addresses import HOST, Addresses
from coronium.operations.lag import group_lags
from coronium.operations.profile import environment, kafka_settings
from coronium.operations.stack import Stack, StackFailed
from coronium.results.stage import ResultsStage
from coronium.runtime.errors import StartError
from tests.stream.service import eventually
from tests.unit.spectra import good_spectrum

LIGHT = ("ingestion", "results", "gateway")
"""The services that load neither torch nor JAX."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack of the light services."""
    stack = Stack(tmp_path_factory.mktemp("stack"), Addresses.free(), services=LIGHT)
    with stack:
        stack.start()
        yield stack


def test_every_part_answers_where_the_addresses_say(stack: Stack):
    addresses = dict(stack.addresses.urls())
    assert health.grpc_serves(addresses["gRPC of ingestion"])
    assert health.grpc_serves(addresses["gRPC of results"])
    assert health.http_answers(addresses["REST"])
    assert health.http_answers(addresses["metrics of results"])


def test_a_published_spectrum_is_behind_no_stage_that_runs(stack: Stack):
    with Client(kafka=f"{HOST}:{stack.addresses.kafka}") as client:
        client.publish(good_spectrum("lag"))

    def behind() -> dict[tuple[str, str], int]:
        lags = group_lags(kafka_settings(stack.addresses))
        return {(lag.stage, lag.topic.removeprefix("coronium.")): lag.behind for lag in lags}

    def finished() -> bool:
        now = behind()
        return now["ingestion", "spectra.v1"] == 0 and now["results", "observations.v1"] == 0

    eventually(finished, 30, "the lag of ingestion and results going to nothing")
    assert behind()["extraction", "observations.v1"] == 1


def test_a_service_that_dies_is_started_again(stack: Stack):
    watcher = threading.Thread(target=stack.supervise, daemon=True)
    watcher.start()
    before = stack.processes["gateway"].pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.processes["gateway"].pid != before, 10, "another start of the gateway")
    eventually(lambda: health.http_answers(dict(stack.addresses.urls())["REST"]), 20, "an answer of the gateway")


def test_every_service_ends_cleanly_when_the_stack_stops(tmp_path: Path):
    stack = Stack(tmp_path, Addresses.free(), services=("ingestion", "results"))
    with stack:
        stack.start()
    assert [stack.processes[name].exit_code for name in ("ingestion", "results")] == [0, 0]
    assert stack.processes["kafka"].exit_code is not None


def test_a_service_that_cannot_start_is_named_with_its_own_words(tmp_path: Path):
    stack = Stack(tmp_path, Addresses.free(), services=("results",), settings={"results": {"DATABASE_URL": "nowhere"}})
    with stack, pytest.raises(StackFailed, match=r"results did not start: .*is not the address of a database"):
        stack.start()


def test_a_busy_port_is_named_with_what_it_is_for():
    addresses = Addresses.free()
    with socket.socket() as listener:
        listener.bind((HOST, addresses.rest))
        listener.listen()
        with pytest.raises(StartError, match=rf"{addresses.rest} \(REST\)"):
            addresses.refuse_busy()
    addresses.refuse_busy()


def test_up_refuses_a_busy_port_before_it_starts_anything(tmp_path: Path):
    offset = 15000
    with socket.socket() as listener:
        listener.bind((HOST, Addresses.usual(offset).rest))
        listener.listen()
        command = [str(Path(sys.executable).with_name("coronium")), "up", "--folder", str(tmp_path / "data")]
        done = subprocess.run([*command, "--port-offset", str(offset)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "(REST) taken by another program" in done.stderr
    assert not (tmp_path / "data").exists()


def test_what_a_user_sets_for_a_service_stands_above_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CORONIUM_RESULTS__DATABASE_URL", "postgresql://somewhere/else")
    addresses = Addresses.usual()
    values = environment("results", addresses, tmp_path)
    assert values["CORONIUM_RESULTS__DATABASE_URL"] == "postgresql://somewhere/else"
    assert values["CORONIUM_RESULTS__GRPC__PORT"] == "50054"


def test_the_lag_knows_the_topics_that_each_stage_consumes():
    stages = (IngestionStage, ExtractionStage, FittingStage, ResultsStage)
    assert {stage.name: stage.sources for stage in stages} == SOURCES
