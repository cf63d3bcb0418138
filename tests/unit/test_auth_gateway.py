"""REST with authentication and encryption: real gateway, real services, real connections; every refusal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict

from coronium.gateway.application import create_application
from coronium.gateway.server import create_server, listen
from coronium.gateway.settings import GatewaySettings, UpstreamSettings
from coronium.runtime.auth.tokens import new_token
from coronium.runtime.errors import SettingsError, StartError
from coronium.runtime.settings import AuthSettings
from tests.certificates import Authority
from tests.unit.guarded_services import PrincipalsFile, Services, principals, served
from tests.unit.posterior_factory import spectrum

__all__ = ["principals"]


@asynccontextmanager
async def gateway(
    services: Services | None, upstream: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[str]:
    """Serve the gateway on a free port; yields host:port."""
    address = services.address if services else "127.0.0.1:1"
    where = UpstreamSettings(results=address, ingestion=address, deadline_seconds=10.0, **(upstream or {}))
    chosen = GatewaySettings(upstream=where, port=0, **settings)
    server = create_server(create_application(chosen), chosen)
    with listen(chosen.host, 0) as listener:
        # Little room in the kernel, so that an answer that nobody takes waits in the gateway.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await running


@pytest.fixture
async def services(tmp_path: Path, principals: PrincipalsFile) -> AsyncIterator[Services]:
    async with served(tmp_path, AuthSettings(principals_file=str(principals.path))) as services:
        yield services


def body() -> dict[str, Any]:
    """Return a good spectrum as the gateway wants it."""
    described = MessageToDict(spectrum(), preserving_proto_field_name=True)
    described |= {"source": "star", "plasma_model": "isothermal"}
    for channel in described["channels"]:
        channel["statistic"] = "poisson"
    return described


async def begun(address: str, body: bytes, trickle: bytes = b"", token: str = "") -> tuple[int, str]:
    """Begin to post a body that never ends; return the status and the text that come all the same."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        "POST /v1/spectra HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        + (f"Authorization: Bearer {token}\r\n\r\n" if token else "\r\n")
    )
    writer.write(head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n")

    async def go_on() -> None:
        while trickle:
            writer.write(f"{len(trickle):x}\r\n".encode() + trickle + b"\r\n")
            await asyncio.sleep(0.05)

    going_on = asyncio.create_task(go_on())
    async with asyncio.timeout(20):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        text = (await reader.readuntil(b"}")).decode()
    going_on.cancel()
    writer.close()
    return int(answer.split()[1]), text


def shown(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def sentence(response: httpx.Response) -> str:
    assert list(response.json()) == ["detail"]
    return response.json()["detail"]


@pytest.fixture
async def token(principals: PrincipalsFile) -> str:
    """Somebody who may read; in the file before the services start."""
    return principals.add("reader", "read")


@pytest.fixture
async def client(token: str, principals: PrincipalsFile, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        gateway(services, auth=AuthSettings(principals_file=str(principals.path))) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0) as client,
    ):
        yield client


async def test_a_token_is_handed_on_to_the_services(client: httpx.AsyncClient, token: str) -> None:
    response = await client.get("/v1/results", headers=shown(token))
    assert response.status_code == 200
    assert response.json()["total"] == 0


async def test_without_a_token_it_is_401(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/results")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "authorization: Bearer" in sentence(response)


async def test_without_a_good_token_nothing_of_the_body_is_waited_for(client: httpx.AsyncClient, token: str) -> None:
    address = client.base_url.netloc.decode()
    status, text = await begun(address, b"{")
    assert status == 401
    assert "authorization: Bearer" in text
    status, text = await begun(address, b"{", token=new_token())
    assert status == 401
    assert "not known here" in text
    status, text = await begun(address, b"{", token=token)
    assert status == 403
    assert "reader needs the scope submit" in text


async def test_a_gateway_with_principals_is_closed_also_where_its_services_are_open(
    tmp_path: Path, principals: PrincipalsFile
) -> None:
    good = principals.add("reader", "read")
    auth = AuthSettings(principals_file=str(principals.path), quarantine_failures=3)
    async with (
        served(tmp_path, AuthSettings()) as services,
        gateway(services, auth=auth) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0) as client,
    ):
        assert (await client.get("/v1/results", headers=shown(good))).status_code == 200
        assert (await client.post("/v1/spectra", json=body(), headers=shown(good))).status_code == 403
        assert not services.published
        for _ in range(3):
            assert (await client.get("/v1/results", headers=shown(new_token()))).status_code == 401
        response = await client.get("/v1/results", headers=shown(good))
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 100
        other = shown(good) | {"x-forwarded-for": "2001:db8::1"}
        assert (await client.get("/v1/results", headers=other)).status_code == 200
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Basic dXNlcjpwYXNz")],
        [("authorization", "Bearer nonsense")],
        [("authorization", f"Bearer {new_token()}"), ("authorization", f"Bearer {new_token()}")],
        [("authorization", f"Bearer {new_token()}")],
    ],
    ids=["another scheme", "not ours", "two", "unknown"],
)
async def test_a_wrong_token_is_401(client: httpx.AsyncClient, headers: list[tuple[str, str]]) -> None:
    response = await client.get("/v1/results", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    for _, value in headers:
        assert value not in response.text


@pytest.mark.parametrize("value", ["Bearer {}\x85", "Bearer \xa0{}", "Bearer {}\xe9"])
async def test_a_token_among_strange_spaces_is_401_and_logs_no_failure(
    client: httpx.AsyncClient, token: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    header = (b"authorization", value.format(token).encode("latin-1"))
    response = await client.get("/v1/results", headers=[header])
    assert response.status_code == 401
    sentence(response)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_scope_that_is_not_held_is_403(client: httpx.AsyncClient, token: str) -> None:
    response = await client.post("/v1/spectra", json=body(), headers=shown(token))
    assert response.status_code == 403
    assert "reader needs the scope submit" in sentence(response)


async def test_too_many_calls_are_429_with_the_time_to_wait(tmp_path: Path, principals: PrincipalsFile) -> None:
    slow = principals.add("slow", "submit", calls_per_second=0.1)
    async with (
        served(tmp_path, AuthSettings(principals_file=str(principals.path))) as services,
        gateway(services) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0) as client,
    ):
        assert (await client.post("/v1/spectra", json=body(), headers=shown(slow))).status_code == 202
        response = await client.post("/v1/spectra", json=body(), headers=shown(slow))
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 10


async def test_the_services_ask_for_a_token_also_where_the_gateway_does_not(services: Services) -> None:
    async with gateway(services) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0) as client:
        response = await client.get("/v1/results")
        assert response.status_code == 401
        assert "www-authenticate" in response.headers


async def test_a_quarantine_is_of_the_caller_and_not_of_the_gateway(tmp_path: Path, principals: PrincipalsFile) -> None:
    good = principals.add("reader", "read")
    auth = AuthSettings(principals_file=str(principals.path), quarantine_failures=3)
    async with (
        served(tmp_path, auth) as services,
        gateway(services) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0) as client,
    ):
        # The test is a proxy that the gateway trusts, and calls for others.
        bad = {"x-forwarded-for": "192.0.2.66"}
        for _ in range(3):
            assert (await client.get("/v1/results", headers=shown(new_token()) | bad)).status_code == 401
        response = await client.get("/v1/results", headers=shown(good) | bad)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 100
        for other in ("192.0.2.67", "no address \xe9"):
            others = shown(good) | {"x-forwarded-for": other}
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in others.items()]
            assert (await client.get("/v1/results", headers=encoded)).status_code == 200


async def test_health_metrics_and_the_description_need_no_token(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


async def test_no_answer_names_the_server_or_lets_other_pages_read_it(client: httpx.AsyncClient, token: str) -> None:
    origin = {"origin": "https://elsewhere.example.org"}
    preflight = origin | {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    for response in (
        await client.get("/v1/results", headers=shown(token) | origin),
        await client.options("/v1/results", headers=shown(token) | preflight),
        await client.get("/healthz", headers=origin),
    ):
        assert "server" not in response.headers
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_headers_that_are_too_large_are_refused(client: httpx.AsyncClient, token: str) -> None:
    response = await client.get("/v1/results", headers=shown(token) | {"x-padding": "x" * 20_000})
    # 400 from the HTTP parser itself, where the head comes in several pieces.
    assert response.status_code in (400, 431)


async def test_a_body_that_is_too_large_or_too_slow_is_refused_while_it_comes() -> None:
    async with gateway(None, max_body_bytes=10_000, body_seconds=1.0) as address:
        assert await begun(address, b" ", trickle=b" ") == (408, '{"detail":"The body was not there within 1 s."}')
        status, text = await begun(address, b" " * 10_001)
        assert status == 413
        assert "10000 bytes" in text


async def test_who_goes_on_sending_after_a_refusal_is_cut_off(principals: PrincipalsFile) -> None:
    async with gateway(None, auth=AuthSettings(principals_file=str(principals.path)), head_seconds=0.5) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/spectra HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        async with asyncio.timeout(15):
            assert b" 401 " in await reader.read()
        writer.close()


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "trickling"])
async def test_a_connection_that_does_not_finish_its_request_is_closed(start: bytes) -> None:
    async with gateway(None, head_seconds=0.5) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(start)

        async def trickle() -> None:
            while start:
                writer.write(b"x")
                await asyncio.sleep(0.1)

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(15):
            assert await reader.read() == b""
        trickling.cancel()
        writer.close()


async def test_a_connection_may_be_used_again_while_its_requests_come_in_time() -> None:
    async with gateway(None, head_seconds=1.0) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        for _ in range(4):
            assert (await client.get("/healthz")).status_code == 200
            await asyncio.sleep(0.5)


async def test_more_connections_than_there_is_room_for_are_503() -> None:
    async with gateway(None, max_connections=2) as address:
        host, port = address.split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert (await client.get("/healthz")).status_code == 503
            for _, writer in held:
                writer.close()
            async with asyncio.timeout(15):
                while (await client.get("/healthz")).status_code != 200:
                    await asyncio.sleep(0.05)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def unread_answers(
    address: str, number: int, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for several large answers at once over a connection with little room for them."""
    host, port = address.split(":")
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (host, int(port)))
    named = {"server_hostname": "localhost"} if context else {}
    reader, writer = await asyncio.open_connection(sock=own, ssl=context, limit=1024, **named)
    writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * number)
    return reader, writer


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_who_does_not_take_the_answers_is_cut_off(authority: Authority, encrypted: bool) -> None:
    pair = authority.issue("server")
    files = {"certificate_file": pair.certificate_file, "key_file": pair.key_file} if encrypted else {}
    context = ssl.create_default_context(cafile=authority.ca_file) if encrypted else None
    async with gateway(None, head_seconds=0.5, body_seconds=1.0, **files) as address:
        reader, writer = await unread_answers(address, 20, context)
        await asyncio.sleep(3.0)
        taken = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(15):
                while more := await reader.read(2**20):
                    taken += more
        writer.transport.abort()
        assert taken.count(b"HTTP/1.1 200 OK") < 20


async def test_who_takes_the_answers_slowly_has_the_time_for_it() -> None:
    async with gateway(None, head_seconds=0.2, body_seconds=15.0) as address:
        reader, writer = await unread_answers(address, 4)
        taken = b""
        while taken.count(b"HTTP/1.1 200 OK") < 4 or not taken.endswith(b"}}}}"):
            await asyncio.sleep(0.03)
            async with asyncio.timeout(10):
                more = await reader.read(1024)
            assert more
            taken += more
        writer.close()


async def test_encryption_and_certificates_all_the_way(
    tmp_path: Path, principals: PrincipalsFile, authority: Authority
) -> None:
    token = principals.add("reader", "read")
    server, front, own = (authority.issue(name) for name in ("server", "gateway", "client"))
    stranger = Authority(tmp_path / "stranger").issue("stranger")
    files = {"certificate_file": server.certificate_file, "key_file": server.key_file}
    upstream = {"ca_file": authority.ca_file, "certificate_file": front.certificate_file, "key_file": front.key_file}
    tls = {"certificate_file": front.certificate_file, "key_file": front.key_file, "client_ca_file": authority.ca_file}
    auth = AuthSettings(principals_file=str(principals.path))
    async with (
        served(tmp_path, auth, client_ca_file=authority.ca_file, **files) as services,
        gateway(services, upstream, **tls) as address,
    ):

        async def ask(
            certificate: Any = None, scheme: str = "https", trusted: str = authority.ca_file
        ) -> httpx.Response:
            context = ssl.create_default_context(cafile=trusted)
            if certificate is not None:
                context.load_cert_chain(certificate.certificate_file, certificate.key_file)
            async with httpx.AsyncClient(verify=context) as client:
                return await client.get(f"{scheme}://{address}/v1/results", headers=shown(token))

        assert (await ask(own)).status_code == 200
        for refused in (
            ask(),
            ask(stranger),
            ask(own, scheme="http"),
            ask(own, trusted=str(tmp_path / "stranger" / "ca.pem")),
        ):
            with pytest.raises(httpx.TransportError):
                await refused
    # The services do not let a gateway in that has no certificate.
    async with (
        served(tmp_path, auth, client_ca_file=authority.ca_file, **files) as services,
        gateway(services, {"ca_file": authority.ca_file}) as address,
        httpx.AsyncClient() as client,
    ):
        response = await client.get(f"http://{address}/v1/results", headers=shown(token))
        assert response.status_code == 503


async def test_a_certificate_that_cannot_be_used_is_a_sentence(tmp_path: Path, authority: Authority) -> None:
    pair, other = authority.issue("one"), authority.issue("other")
    for certificate, key in ((str(tmp_path / "none"), pair.key_file), (pair.certificate_file, other.key_file)):
        with pytest.raises(StartError, match="CORONIUM_GATEWAY__CERTIFICATE_FILE"):
            async with gateway(None, certificate_file=certificate, key_file=key):
                pass


def test_a_gateway_that_is_open_to_others_warns_or_does_not_start(
    caplog: pytest.LogCaptureFixture, authority: Authority, principals: PrincipalsFile
) -> None:
    def create(**settings: Any) -> None:
        chosen = GatewaySettings(**settings)
        create_server(create_application(chosen), chosen)

    create(host="0.0.0.0")
    assert "without authentication" in caplog.text
    caplog.clear()
    pair = authority.issue("server")
    encrypted = {"certificate_file": pair.certificate_file, "key_file": pair.key_file}
    # A certificate says from which machine somebody calls; who it is and what they may, a token.
    create(host="0.0.0.0", client_ca_file=authority.ca_file, **encrypted)
    assert "without authentication" in caplog.text
    caplog.clear()
    auth = AuthSettings(principals_file=str(principals.path))
    create(host="0.0.0.0", auth=auth, **encrypted)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    create(host="0.0.0.0", upstream={"results": "results:50054"}, auth=auth, **encrypted)
    assert "callers' tokens travel to results:50054 without encryption" in caplog.text
    required = {"auth": AuthSettings(principals_file=str(principals.path), required=True)}
    with pytest.raises(SettingsError, match="CORONIUM_GATEWAY__CERTIFICATE_FILE"):
        create(host="0.0.0.0", **required)
    with pytest.raises(SettingsError, match="CORONIUM_GATEWAY__UPSTREAM__CA_FILE"):
        create(upstream={"results": "results:50054"}, **encrypted, **required)


async def test_the_description_tells_of_the_refusals(client: httpx.AsyncClient) -> None:
    document = json.loads((await client.get("/openapi.json")).text)
    for status in ("401", "403", "429"):
        assert status in document["paths"]["/v1/results"]["get"]["responses"]
