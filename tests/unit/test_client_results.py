"""The client against the real results service on a database."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import numpy as np
import pytest

from coronium import Client, ClientError, NotFound, ServiceUnreachable
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.results.database import open_engine, upgrade
from coronium.results.queries import Queries
from coronium.results.records import entry
from coronium.results.service import ResultsServicer
from coronium.results.store import Store
from coronium.results.watch import ChangeFeed
from coronium.v1 import posterior_pb2, results_pb2_grpc
from tests.unit.posterior_factory import EPOCH_ZERO, NAMES, dead_letter, observation, posterior


class Service:
    """The results service on a thread, on a port of its own, that can be stopped and started."""

    def __init__(self, path: Path) -> None:
        self._engine = open_engine(f"sqlite:///{path}")
        upgrade(self._engine)
        self.store = Store(self._engine)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def write(self, *records) -> None:
        self.store.write([entry(record) for record in records])

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(0), self._loop).result(20)

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._engine.dispose()

    async def _start(self) -> None:
        self._server = grpc.aio.server(options=GRPC_CHANNEL_OPTIONS)
        queries = Queries(self._engine)
        servicer = ResultsServicer(queries, ChangeFeed(queries, interval=0.02))
        results_pb2_grpc.add_ResultsServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "results.db")
    yield service
    service.end()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.address, timeout=10.0) as client:
        yield client


def test_a_result_comes_back_by_its_id_and_by_its_spectrum(service, client):
    stored = posterior(name="obsid 1248")
    service.write(observation(), stored)
    result = client.get(stored.result_id)
    assert result.id == stored.result_id
    assert client.get(stored.fingerprints[0]).id == stored.result_id
    assert (result.kind, result.rung, result.source, result.plasma_model) == ("single", "nuts", "star", "isothermal")
    assert result.name == "obsid 1248"
    assert result.observed_at == EPOCH_ZERO
    assert result.log_temperature.lower < result.log_temperature.median < result.log_temperature.upper
    assert result.log_temperature.median == pytest.approx(6.7, abs=0.01)
    assert result.log_density.constraint == "measured"
    assert result.emission_measure.median == pytest.approx(10**result.log_emission_measure.median)
    assert result.diagnostics["fit_seconds"] == pytest.approx(2.1)
    assert result.versions["emissivity_table"] == "chianti-10.1"
    assert [line.label for line in result.identified_lines] == ["O VII 21.602"]
    assert result.predictive[stored.predictive[0].name].median.shape == (40,)
    assert result.observation is None


def test_the_data_come_with_a_result_where_asked_for(service, client):
    service.write(observation(), posterior())
    spectrum = client.get(posterior().result_id, with_observation=True).observation
    assert spectrum.target == "capella"
    assert spectrum.channels[0].counts.shape == (1, 40)


def test_draws_are_an_array_with_a_field_per_parameter(service, client):
    stored = posterior()
    service.write(stored)
    draws = client.draws(stored.result_id)
    assert draws.dtype.names == NAMES
    assert draws.shape == (512,)
    np.testing.assert_array_equal(draws, client.get(stored.result_id).draws)
    assert np.median(draws["log_temperature"]) == pytest.approx(6.7, abs=0.01)


def test_the_emission_measure_comes_in_its_own_unit(service, client):
    stored = posterior()
    log = next(summary for summary in stored.parameters if summary.name == "log_emission_measure")
    log.unit = "dex(cm-5)"
    service.write(stored)
    result = client.get(stored.result_id)
    assert result.log_emission_measure.unit == "dex(cm-5)"
    assert result.emission_measure.unit == "cm-5"
    assert result.emission_measure.lower == pytest.approx(10**result.log_emission_measure.lower)


def test_a_limit_is_a_limit_and_prints_as_one(service, client):
    stored = posterior()
    density = next(summary for summary in stored.parameters if summary.name == "log_density")
    density.constraint, density.limit95 = posterior_pb2.CONSTRAINT_UPPER_LIMIT, 10.4
    service.write(stored)
    result = client.get(stored.result_id)
    assert (result.log_density.constraint, result.log_density.limit) == ("upper_limit", 10.4)
    assert str(result.log_density) == "< 10.4"
    assert result.log_temperature.limit is None


def test_a_list_runs_over_all_pages_and_leaves_the_arrays_at_home(service, client):
    service.write(*(posterior(seeds=(seed,)) for seed in range(230)))
    listed = list(client.list(target="capella"))
    assert len({result.id for result in listed}) == 230
    assert listed[0].draws is None
    assert listed[0].predictive == {}


def test_filters_restrict(service, client):
    service.write(
        posterior("capella", log_temperature=6.7),
        posterior("sun/ar12807/x001y001", seeds=(3,), log_temperature=6.2),
    )

    def targets(**filters):
        return {result.target for result in client.list(**filters)}

    assert targets() == {"capella", "sun/ar12807/x001y001"}
    assert targets(target="sun/*") == {"sun/ar12807/x001y001"}
    assert targets(log_temperature=(6.5, 7.0)) == {"capella"}
    assert targets(observed_from=EPOCH_ZERO + timedelta(days=1)) == {"sun/ar12807/x001y001"}
    assert targets(kind="joint") == set()
    with pytest.raises(TypeError, match="there is no filter 'star'"):
        client.list(star="capella")


def test_a_result_is_json(service, client):
    stored = posterior()
    stored.diagnostics.log_evidence = float("nan")
    service.write(stored)
    result = client.get(stored.result_id)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["parameters"]["log_temperature"]["median"] == result.log_temperature.median
    assert plain["diagnostics"]["log_evidence"] is None
    assert plain["lines"][0]["label"] == "O VII 21.602"
    assert plain["fitted_at"].startswith("2024-03-01T02:00:00")
    assert "draws" not in plain
    full = json.loads(json.dumps(result.to_dict(arrays=True), allow_nan=False))
    assert len(full["draws"]["log_density"]) == 512
    assert len(full["predictive"][stored.predictive[0].name]["lower"]) == 40


def _collect(watch, until: Callable[[], bool]) -> tuple[threading.Thread, list]:
    results: list = []

    def run():
        for result in watch:
            results.append(result)
            if until():
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def test_a_watch_misses_nothing_that_is_stored_after_it_began(service, client):
    service.write(posterior(seeds=(0,)))
    with client.watch(target="capella") as watch:
        service.write(posterior(seeds=(1,)), posterior("another", seeds=(2,)), posterior(seeds=(3,)))
        assert [next(watch).id for _ in range(2)] == [posterior(seeds=(seed,)).result_id for seed in (1, 3)]


def test_a_watch_replays_what_was_stored_since(service, client):
    service.write(posterior(seeds=(0,)))
    with client.watch(since=EPOCH_ZERO) as watch:
        assert next(watch).id == posterior(seeds=(0,)).result_id


def test_a_watch_ends_after_its_time(service, client):
    assert list(client.watch(seconds=0.3)) == []


def test_a_watch_survives_a_restart_of_the_service_and_repeats_nothing(service, client):
    seen: list = []
    with client.watch() as watch:
        service.write(posterior(seeds=(0,)))
        seen.append(next(watch).id)
        service.stop()
        service.write(posterior(seeds=(1,)))
        service.start()
        service.write(posterior(seeds=(2,)))
        seen += [next(watch).id for _ in range(2)]
    assert seen == [posterior(seeds=(seed,)).result_id for seed in (0, 1, 2)]


def test_a_watch_ends_when_it_is_closed_elsewhere(service, client):
    watch = client.watch()
    thread, results = _collect(watch, lambda: False)
    watch.close()
    thread.join(5)
    assert not thread.is_alive()
    assert results == []


def test_dead_letters_say_what_was_wrong_with_which_message(service, client):
    service.write(*(dead_letter(offset=offset, seed=offset) for offset in range(120)))
    letters = list(client.dead_letters())
    assert len(letters) == 120
    assert {letter.offset for letter in letters} == set(range(120))
    assert letters[0].reason == "crash"
    assert letters[0].detail == "The worker died three times with this record."
    assert letters[0].key == b"capella"
    assert list(client.dead_letters(stage="ingestion")) == []


def test_what_is_not_there_is_said_so(service, client):
    with pytest.raises(NotFound, match="no result"):
        client.get("0" * 32)
    with pytest.raises(NotFound, match="no result"):
        client.draws("0" * 32)
    service.write(observation())
    with pytest.raises(NotFound, match="has no result yet"):
        client.get(observation().fingerprint)


def test_a_senseless_question_is_refused_with_a_sentence(client):
    with pytest.raises(ClientError, match="Give a result id"):
        client.get("")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("0" * 32),
        lambda client: client.draws("0" * 32),
        lambda client: list(client.list()),
        lambda client: client.watch(),
        lambda client: list(client.dead_letters()),
    ],
)
def test_a_service_that_is_not_there_is_named_with_its_address(call):
    with (
        Client("127.0.0.1:9", timeout=2.0) as client,
        pytest.raises(ServiceUnreachable, match=r"results service at 127\.0\.0\.1:9 does not answer"),
    ):
        call(client)


def test_every_call_ends_at_its_deadline():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, timeout=0.5) as client, pytest.raises(ServiceUnreachable):
            client.get("0" * 32)
