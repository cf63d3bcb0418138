"""The gateway over a real gRPC server with the real store behind it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence

import grpc
import httpx
import pytest
from fastapi import FastAPI
from google.protobuf.json_format import MessageToDict
from sqlalchemy import Engine

from coronium.contract.headers import Headers
from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings, UpstreamSettings
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.results.queries import Queries
from coronium.results.records import Record, entry
from coronium.results.service import ResultsServicer
from coronium.results.store import Store
from coronium.results.watch import ChangeFeed
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.settings import AuthSettings, GrpcSettings
from coronium.runtime.stage import Outgoing
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc, results_pb2, results_pb2_grpc, spectrum_pb2
from tests.unit.posterior_factory import DRAWS, NAMES, dead_letter, observation, posterior, spectrum
from tests.unit.results_databases import engine
from tests.unit.results_databases import sqlite_url as database_url

__all__ = ["database_url", "engine"]

MAX_BODY = 200_000
NOWHERE = "127.0.0.1:1"


class Published(list[spectrum_pb2.Spectrum]):
    """What ingestion would have produced to Kafka: its checks and its service are the real ones."""

    async def __call__(self, records: Sequence[Outgoing], _: Headers) -> None:
        self.extend(spectrum_pb2.Spectrum.FromString(record.value or b"") for record in records)


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
async def services(engine: Engine, published: Published) -> AsyncIterator[str]:
    def add_results(server: grpc.aio.Server) -> str:
        queries = Queries(engine)
        results_pb2_grpc.add_ResultsServiceServicer_to_server(ResultsServicer(queries, ChangeFeed(queries)), server)
        return results_pb2.DESCRIPTOR.services_by_name["ResultsService"].full_name

    def add_ingestion(server: grpc.aio.Server) -> str:
        servicer = IngestionService(published, RecentFingerprints(10))
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(servicer, server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    server = GrpcServer(GrpcSettings(port=0), AuthSettings(), add_results, add_ingestion)
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.stop()


def application(results: str, ingestion: str) -> FastAPI:
    upstream = UpstreamSettings(results=results, ingestion=ingestion, deadline_seconds=5.0)
    return create_application(GatewaySettings(upstream=upstream, max_body_bytes=MAX_BODY))


async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield client


@pytest.fixture
async def client(services: str) -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of(application(services, services)):
        yield client


@pytest.fixture
async def lonely_client() -> AsyncIterator[httpx.AsyncClient]:
    async for client in client_of(application(NOWHERE, NOWHERE)):
        yield client


def write(engine: Engine, *records: Record) -> None:
    Store(engine).write([entry(record) for record in records])


def sentence(response: httpx.Response) -> str:
    body = response.json()
    assert list(body) == ["detail"]
    assert isinstance(body["detail"], str)
    return body["detail"]


async def test_results_are_listed_filtered_and_paged(client: httpx.AsyncClient, engine: Engine) -> None:
    write(engine, *(posterior(seeds=(seed,)) for seed in range(5)), posterior("sun/ar1/x000y000"))
    first = (await client.get("/v1/results", params={"target": "capella", "page_size": 3})).json()
    assert first["total"] == 5
    assert len(first["results"]) == 3
    params = {"target": "capella", "page_size": 3, "page_token": first["next_page_token"]}
    second = (await client.get("/v1/results", params=params)).json()
    assert len(second["results"]) == 2
    assert second["next_page_token"] is None
    later = (await client.get("/v1/results", params={"observed_from": "2024-03-05T00:00:00Z"})).json()
    assert [one["observed_at"] for one in later["results"]] == ["2024-03-05T00:00:00Z"]
    assert later == (await client.get("/v1/results", params={"observed_from": "2024-03-05T00:00:00"})).json()


async def test_one_result_says_what_the_posterior_says(client: httpx.AsyncClient, engine: Engine) -> None:
    sent = posterior()
    write(engine, sent)
    got = (await client.get(f"/v1/results/{sent.fingerprints[0]}")).json()
    assert got["result_id"] == sent.result_id
    assert (got["kind"], got["rung"], got["source"], got["plasma_model"]) == ("single", "nuts", "star", "isothermal")
    temperature = got["parameters"][0]
    assert temperature["name"] == "log_temperature"
    assert temperature["constraint"] == "measured"
    assert temperature["limit95"] is None
    assert temperature["interval68"]["lower"] == sent.parameters[0].lower68
    assert got["lines"][0]["label"] == "O VII 21.602"
    assert len(got["predictive"][0]["median"]) == 40
    assert got["superseded_by"] is None
    assert "draws" not in got


async def test_what_is_not_finite_is_null(client: httpx.AsyncClient, engine: Engine) -> None:
    sent = posterior()
    sent.parameters[0].r_hat = float("nan")
    sent.diagnostics.log_evidence = float("-inf")
    sent.draws.values[0] = float("nan")
    write(engine, sent)
    got = (await client.get(f"/v1/results/{sent.result_id}")).json()
    assert got["parameters"][0]["r_hat"] is None
    assert got["diagnostics"]["log_evidence"] is None
    draws = (await client.get(f"/v1/results/{sent.result_id}/draws")).json()
    assert draws["draws"][0][0] is None


async def test_draws_are_one_table(client: httpx.AsyncClient, engine: Engine) -> None:
    sent = posterior()
    write(engine, sent)
    table = (await client.get(f"/v1/results/{sent.result_id}/draws")).json()
    assert table["names"] == list(NAMES)
    assert len(table["draws"]) == DRAWS
    assert [value for row in table["draws"] for value in row] == pytest.approx(list(sent.draws.values))


async def test_a_raster_target_with_slashes_is_found(client: httpx.AsyncClient, engine: Engine) -> None:
    write(engine, posterior("sun/ar1/x000y000"), posterior("capella"))
    got = (await client.get("/v1/results", params={"target": "sun/*"})).json()
    assert [one["target"] for one in got["results"]] == ["sun/ar1/x000y000"]


async def test_dead_letters_are_listed_without_their_bytes(client: httpx.AsyncClient, engine: Engine) -> None:
    write(engine, dead_letter(), dead_letter(stage="ingestion", value=b"abc", offset=9))
    got = (await client.get("/v1/dead-letters", params={"stage": "ingestion"})).json()
    assert got["total"] == 1
    assert got["dead_letters"][0]["size_bytes"] == 3
    assert got["dead_letters"][0]["reason"] == "crash"
    assert (await client.get("/v1/dead-letters", params={"stage": "kitchen"})).status_code == 422


def body_of(message: spectrum_pb2.Spectrum) -> dict[str, object]:
    """Return a spectrum as the JSON that the gateway documents."""
    body = MessageToDict(message, preserving_proto_field_name=True)
    body["source"] = "star"
    body["plasma_model"] = "isothermal"
    for channel in body["channels"]:
        channel["statistic"] = "poisson"
    return body


async def test_a_spectrum_in_json_is_the_message_it_stands_for(client: httpx.AsyncClient, published: Published) -> None:
    sent = spectrum(name="my own")
    sent.annotations["observer"] = "me"
    response = await client.post("/v1/spectra", json=body_of(sent))
    assert response.status_code == 202, response.text
    assert response.json() == {"fingerprint": observation().fingerprint, "duplicate": False}
    assert published == [sent]


async def test_the_plasma_model_is_asked_for_and_answered_in_the_words_of_the_command_line(
    client: httpx.AsyncClient, published: Published, engine: Engine
) -> None:
    body = body_of(spectrum()) | {"plasma_model": "gaussian-dem"}
    assert (await client.post("/v1/spectra", json=body)).status_code == 202
    assert published[0].plasma_model == spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM
    stored = posterior()
    stored.plasma_model = spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM
    write(engine, stored)
    assert (await client.get(f"/v1/results/{stored.result_id}")).json()["plasma_model"] == "gaussian-dem"
    wrong = await client.post("/v1/spectra", json=body | {"plasma_model": "gaussian_dem"})
    assert wrong.status_code == 422
    assert "'isothermal' or 'gaussian-dem'" in sentence(wrong)


async def test_a_mask_is_a_list_of_truths(client: httpx.AsyncClient, published: Published) -> None:
    body = body_of(spectrum())
    body["channels"][0]["mask"] = [True] * 39 + [False]  # type: ignore[index]
    assert (await client.post("/v1/spectra", json=body)).status_code == 202
    assert published[0].channels[0].mask == bytes([1] * 39 + [0])


async def test_a_spectrum_that_ingestion_refuses_is_400_with_its_sentence(client: httpx.AsyncClient) -> None:
    body = body_of(spectrum())
    body["channels"][0]["counts"].pop()  # type: ignore[index]
    response = await client.post("/v1/spectra", json=body)
    assert response.status_code == 400
    assert "counts" in sentence(response)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": 5}, "target"),
        ({"source": "moon"}, "source"),
        ({"colour": "red"}, "colour"),
        ({"channels": []}, "channels"),
    ],
)
async def test_json_of_another_shape_is_422_and_names_the_field(
    client: httpx.AsyncClient, change: dict[str, object], named: str
) -> None:
    response = await client.post("/v1/spectra", json=body_of(spectrum()) | change)
    assert response.status_code == 422
    assert named in sentence(response)


async def test_an_array_of_wrong_values_is_one_sentence(client: httpx.AsyncClient) -> None:
    body = body_of(spectrum())
    body["channels"][0]["counts"] = ["many"] * 40  # type: ignore[index]
    response = await client.post("/v1/spectra", json=body)
    assert response.status_code == 422
    assert sentence(response).startswith("channels.0.counts.0: Input should be a valid number")
    body = body_of(spectrum()) | {"target": 5, "colour": "red", "x" * 10_000: 1}
    response = await client.post("/v1/spectra", json=body)
    assert "2 more" in sentence(response)
    response = await client.post("/v1/spectra", json=body_of(spectrum()) | {"x" * 10_000: 1})
    assert len(response.content) < 300


async def test_a_body_that_does_not_say_it_is_json_is_415(client: httpx.AsyncClient) -> None:
    for kind in ({}, {"content-type": "text/plain"}):
        response = await client.post("/v1/spectra", content=json.dumps(body_of(spectrum())), headers=kind)
        assert response.status_code == 415
        assert sentence(response) == "The body is not application/json."


async def test_a_body_that_is_too_large_is_413_announced_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 1000

    json_header = {"content-type": "application/json"}
    for content in (b" " * (MAX_BODY + 1), chunks()):
        response = await client.post("/v1/spectra", content=content, headers=json_header)
        assert response.status_code == 413
        assert str(MAX_BODY) in sentence(response)


async def test_what_is_missing_is_404_with_the_sentence_of_the_service(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    write(engine, observation())
    response = await client.get(f"/v1/results/{observation().fingerprint}")
    assert response.status_code == 404
    assert "has no result yet" in sentence(response)
    assert (await client.get("/v1/results/nothing/draws")).status_code == 404
    assert sentence(await client.get("/v2/nowhere")) == "Not Found."


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"log_temperature_min": 6.0}, 400),
        ({"page_token": "x"}, 400),
        ({"page_size": 0}, 422),
        ({"page_size": "many"}, 422),
        ({"kind": "double"}, 422),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, params: dict[str, str], status: int
) -> None:
    response = await client.get("/v1/results", params=params)
    assert response.status_code == status
    assert sentence(response).endswith(".")


async def test_services_that_do_not_answer_are_503(lonely_client: httpx.AsyncClient) -> None:
    for response in (
        await lonely_client.get("/v1/results"),
        await lonely_client.get("/v1/results/x/draws"),
        await lonely_client.post("/v1/spectra", json=body_of(spectrum())),
    ):
        assert response.status_code == 503
        assert "does not answer now" in sentence(response)


async def test_a_service_that_is_too_slow_is_504(services: str) -> None:
    app = application(services, services)
    async for client in client_of(app):
        app.state.upstream.deadline = 0.0
        response = await client.get("/v1/results")
        assert response.status_code == 504
        assert "within 0 s" in sentence(response)


async def test_a_call_that_cannot_be_made_is_502_and_a_problem(services: str) -> None:
    app = application(services, services)
    async for client in client_of(app):
        app.state.upstream.deadline = "soon"
        for path in ("/v1/results", "/v1/results/x/draws"):
            response = await client.get(path)
            assert response.status_code == 502
            assert sentence(response) == "The results service cannot be asked this."


async def test_alive_and_ready_are_two_questions(client: httpx.AsyncClient, lonely_client: httpx.AsyncClient) -> None:
    assert (await lonely_client.get("/healthz")).status_code == 200
    lonely = await lonely_client.get("/readyz")
    assert (lonely.status_code, lonely.json()["results"]) == (503, "not serving")
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "results": "serving", "ingestion": "serving"},
    )


async def test_requests_are_counted_by_route_and_never_by_path(client: httpx.AsyncClient, engine: Engine) -> None:
    write(engine, posterior())
    for path in ("secret-1", "secret-2"):
        await client.get(f"/v1/results/{path}")
        await client.get(f"/{path}")
    text = (await client.get("/metrics")).text
    assert 'coronium_http_requests_total{route="result",status="4xx"}' in text
    assert "secret" not in text


async def test_the_interface_is_described_with_models_of_every_answer(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    answers = {
        (path, method): operation["responses"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/v1/")
    }
    assert {path for path, _ in answers} == {
        "/v1/results",
        "/v1/results/{id}",
        "/v1/results/{id}/draws",
        "/v1/spectra",
        "/v1/dead-letters",
    }
    for responses in answers.values():
        good = responses.get("200") or responses["202"]
        assert "$ref" in good["content"]["application/json"]["schema"]
        assert responses["400"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
        assert responses["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
    body = document["paths"]["/v1/spectra"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/SpectrumInput"}
    defined = document["components"]["schemas"]
    assert {"SpectrumInput", "ExposureInput", "ChannelInput"} <= set(defined)
    referred = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert referred <= set(defined)
