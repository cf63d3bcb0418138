"""What clients may ask, over gRPC and REST: how much, how long, how many, and packed how."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coronium.contract import limits
from coronium.contract.headers import Headers
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS, MAX_NAME, MEBIBYTE
from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings, UpstreamSettings
from coronium.ingestion import service as ingestion_service
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.results.pages import InvalidQuery, page_size, read_token, write_token
from coronium.results.queries import conditions, require_text
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.settings import AuthSettings, GrpcSettings
from coronium.runtime.stage import Outgoing
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc, results_pb2
from tests.fuzz import rest
from tests.unit.spectra import good_spectrum

SUBMIT = "/coronium.v1.IngestionService/Submit"


async def forget(records: Sequence[Outgoing], headers: Headers) -> None:
    """Take what ingestion would publish."""


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Ingestion's service behind the server that every service has."""

    def add(server: grpc.aio.Server) -> str:
        servicer = IngestionService(forget, RecentFingerprints(10))
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(servicer, server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    server = GrpcServer(GrpcSettings(port=0), AuthSettings(), add)
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.stop()


async def refused(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code(), raised.value.details() or ""


async def test_bytes_that_are_no_request_are_the_callers_fault(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS) as channel:
        submit = channel.unary_unary(SUBMIT)
        code, details = await refused(submit(b"\xff\xff", timeout=10))
        assert (code, details.split(":")[0]) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "the message cannot be read",
        )
        many = b"\x2a\x00" * (limits.MAX_PARTS + 1)
        code, details = await refused(submit(b"\x0a\xa2\x9c\x01" + many, timeout=10))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "more than 10000 parts" in details
        stream = channel.stream_unary("/coronium.v1.IngestionService/SubmitStream")
        assert (await refused(stream(iter([b"\xff"]), timeout=10)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_packed_request_is_measured_unpacked(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        submit = ingestion_pb2_grpc.IngestionServiceStub(channel).Submit
        request = ingestion_pb2.SubmitRequest(spectrum=good_spectrum())
        assert (await submit(request, timeout=10, compression=grpc.Compression.Gzip)).fingerprint
        raw = channel.unary_unary(SUBMIT)
        bomb = bytes(limits.MAX_GRPC_BYTES + 1)
        code, details = await refused(raw(bomb, timeout=60, compression=grpc.Compression.Gzip))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(limits.MAX_GRPC_BYTES) in details


async def test_a_stream_of_submissions_ends_at_the_most_spectra(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion_service, "MAX_STREAM_SPECTRA", 3)
    request = ingestion_pb2.SubmitStreamRequest(spectrum=good_spectrum())
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ingestion_pb2_grpc.IngestionServiceStub(channel)
        assert len((await stub.SubmitStream(iter([request] * 3), timeout=10)).fingerprints) == 3
        code, details = await refused(stub.SubmitStream(iter([request] * 4), timeout=10))
    assert code is grpc.StatusCode.OUT_OF_RANGE
    assert details.startswith("3 spectra were taken")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=400), st.binary(max_size=300).map(lambda b: base64.urlsafe_b64encode(b).decode())))
def test_a_page_token_is_ours_or_refused(token: str) -> None:
    try:
        assert read_token(token, b"question") is None
        assert not token
    except InvalidQuery:
        pass


@pytest.mark.parametrize("content", ["[Infinity, 1]", "[1e400, 1]", "[" * 20_000, "[1, 2, 3]", "{}", "[[], []]", "NaN"])
def test_a_page_token_with_strange_contents_is_refused(content: str) -> None:
    with pytest.raises(InvalidQuery):
        read_token(base64.urlsafe_b64encode(content.encode()).decode(), b"question")


def test_our_own_page_tokens_are_within_their_limit_and_pages_within_theirs() -> None:
    token = write_token(2**63 - 1, b"question")
    assert len(token) <= limits.MAX_PAGE_TOKEN
    assert read_token(token, b"question") == 2**63 - 1
    assert page_size(2**32 - 1) == limits.MAX_PAGE


@pytest.mark.parametrize("field", ["target", "instrument", "name", "fingerprint"])
@pytest.mark.parametrize("text", ["x" * (MAX_NAME + 1), "a\0b"])
def test_a_filter_that_cannot_be_a_name_is_refused(field: str, text: str) -> None:
    with pytest.raises(InvalidQuery, match=f"{field} is not at most 200 characters"):
        conditions(results_pb2.ResultFilter(**{field: text}))
    with pytest.raises(InvalidQuery):
        require_text("stage", text)


@pytest.fixture
async def gateway(address: str) -> AsyncIterator[httpx.AsyncClient]:
    upstream = UpstreamSettings(ingestion=address, results=address)
    application = create_application(GatewaySettings(max_body_bytes=MEBIBYTE, upstream=upstream))
    async with application.router.lifespan_context(application):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client


async def test_a_packed_body_is_refused_and_not_unpacked(gateway: httpx.AsyncClient) -> None:
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        packed = gzip.compress(b" " * (64 * MEBIBYTE))
        headers = {"content-encoding": encoding, "content-type": "application/json"}
        answer = await gateway.post("/v1/spectra", content=packed, headers=headers)
        assert answer.status_code == 415, encoding
        assert answer.json() == {"detail": f"The body is packed ({encoding}); send it as it is."}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "\ud800"}, "Invalid JSON"),
        ({"annotations": {"\ud800": "x"}}, "Invalid JSON"),
        ({"\ud800": 1}, "Invalid JSON"),
        ({"distance_pc": float("nan")}, "distance_pc"),
        ({"exposures": [{"seconds": 1.0, "start": "0001-01-01T00:00:00+14:00"}]}, "outside of the years 1 to 9999"),
        ({"distance_pc": 10**400}, "distance_pc"),
    ],
)
async def test_what_json_can_say_and_no_message_can_is_refused(
    gateway: httpx.AsyncClient, change: dict[str, object], words: str
) -> None:
    body = json.dumps({**rest.spectrum(), **change})
    answer = await gateway.post("/v1/spectra", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_a_body_of_many_small_numbers_is_refused_before_it_is_read(gateway: httpx.AsyncClient) -> None:
    crowded = b"[" + b"1," * (limits.MAX_BODY_VALUES + 1) + b"1]"
    application = create_application(GatewaySettings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway") as client:
        answer = await client.post("/v1/spectra", content=crowded, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert str(limits.MAX_BODY_VALUES) in answer.json()["detail"]
    assert (await gateway.post("/v1/spectra", json=rest.spectrum())).status_code == 202


async def test_deeply_nested_json_is_refused(gateway: httpx.AsyncClient) -> None:
    for deep in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
        answer = await gateway.post("/v1/spectra", content=deep, headers={"content-type": "application/json"})
        assert answer.status_code == 413
    for deep in (b"[" * 5_000, b'{"a":' * 3_000):
        answer = await gateway.post("/v1/spectra", content=deep, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert "recursion limit" in answer.json()["detail"]


async def test_a_time_without_a_date_in_utc_is_a_bad_query(gateway: httpx.AsyncClient) -> None:
    answer = await gateway.get("/v1/results", params={"observed_from": "9999-12-31T23:59:59-12:00"})
    assert answer.status_code == 422
    assert "outside of the years 1 to 9999" in answer.json()["detail"]


async def test_the_most_parts_that_a_spectrum_has_are_let_through(gateway: httpx.AsyncClient) -> None:
    given = rest.spectrum()
    stamp = {"seconds": 1.0, "start": "2021-03-06T06:44:44+00:00", "name": "x"}
    everything = {"background": [], "background_scale": [], "line_width": 0.0, **given["channels"][0]}
    given |= {"exposures": [stamp] * limits.MAX_EXPOSURES, "channels": [everything] * limits.MAX_CHANNELS}
    given["annotations"] = {str(number): "x" for number in range(limits.MAX_ANNOTATIONS)}
    answer = await gateway.post("/v1/spectra", json=given)
    # It came as far as ingestion, which counts the bins.
    assert answer.status_code == 400, answer.text
    for name, more in (("exposures", [stamp]), ("channels", [everything])):
        answer = await gateway.post("/v1/spectra", json={**given, name: given[name] + more})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(name)


CROWDED = {
    "empty exposures": b'{"exposures":[' + b"{}," * 2_790_000 + b"{}]}",
    "texts for numbers": b'{"channels":[{"counts":[' + b'"",' * 2_790_000 + b'""]}]}',
    "nothing for numbers": b'{"channels":[{"counts":[' + b"null," * 2_790_000 + b"null]}]}",
    "numbers for truths": b'{"channels":[{"mask":[' + b"2," * 2_790_000 + b"2]}]}",
    "numbers for exposures": b'{"exposures":[' + b"1," * 2_790_000 + b"1]}",
    "numbers that are too large": b'{"channels":[{"counts":[' + b"1e99," * 2_790_000 + b"1e99]}]}",
    "unknown names": b"{" + b",".join(b'"%x":1' % number for number in range(300_000)) + b"}",
    "good exposures": b'{"exposures":[' + b",".join([b'{"seconds":1}'] * 500_000) + b"]}",
}

GATEWAY = """
import asyncio
from coronium.gateway.application import create_application
from coronium.gateway.server import create_server, listen
from coronium.gateway.settings import GatewaySettings

settings = GatewaySettings(port=0)
with listen(settings.host, 0) as listener:
    print(listener.getsockname()[1], flush=True)
    create_server(create_application(settings), settings).run(sockets=[listener])
"""


async def test_a_crowded_body_costs_little_memory_and_holds_nobody_up() -> None:
    """In a process of its own, whose largest memory counts: the gateway held 3.6 GiB and answered nobody for 43 s."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", GATEWAY, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    address = f"http://127.0.0.1:{int(await process.stdout.readline())}"

    def memory() -> float:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    waits: list[float] = []

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=120.0) as client:
            while True:
                begun = time.monotonic()
                assert (await client.get("/healthz")).status_code == 200
                waits.append(time.monotonic() - begun)
                await asyncio.sleep(0.05)

    try:
        async with httpx.AsyncClient(base_url=address, timeout=120.0) as client:
            assert (await client.get("/healthz")).status_code == 200
            before = memory()
            asking = asyncio.create_task(ask())
            for name, body in CROWDED.items():
                answer = await client.post("/v1/spectra", content=body, headers={"content-type": "application/json"})
                assert answer.status_code in (413, 422), name
                assert memory() - before < 400, name
            asking.cancel()
        assert max(waits) < 5.0
    finally:
        process.kill()
        await process.wait()
