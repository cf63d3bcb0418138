"""The client shows its token, keeps it to itself where it could be read, and says what to do when refused."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from coronium import Client, ClientError, LimitReached, NotAllowed, ServiceUnreachable, Tls
from coronium.cli.settings import connect
from coronium.client.credentials import refuse_to_tell
from coronium.results.records import entry
from coronium.runtime.auth.tokens import new_token
from coronium.runtime.settings import AuthSettings, ServiceSettings
from tests.certificates import Authority
from tests.unit.guarded_services import PrincipalsFile, Services, channel, principals, reader, served, services
from tests.unit.posterior_factory import posterior
from tests.unit.spectra import good_spectrum

__all__ = ["channel", "principals", "reader", "services"]

Answer = TypeVar("Answer")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CORONIUM_"):
            monkeypatch.delenv(name)


async def ask(question: Callable[[Client], Answer], address: str, **options: object) -> Answer:
    """Put a question to a client of one's own, on a thread, because the services live on this one."""

    def asked() -> Answer:
        with Client(address, address, **options) as client:  # type: ignore[arg-type]
            return question(client)

    return await asyncio.to_thread(asked)


def count(client: Client) -> int:
    return len(list(client.list()))


async def test_a_token_is_an_argument(services: Services, reader: str) -> None:
    services.store.write([entry(posterior())])
    assert await ask(count, services.address, token=reader) == 1
    assert len(await ask(lambda client: client.draws(posterior().result_id), services.address, token=reader)) == 512


async def test_a_token_comes_from_the_environment_or_a_file_that_it_names(
    services: Services, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{reader}\n")
    for name, value in (
        ("CORONIUM_TOKEN", reader),
        ("CORONIUM_TOKEN_FILE", str(file)),
        ("CORONIUM_CLIENT__TOKEN", reader),
        ("CORONIUM_CLIENT__TOKEN_FILE", str(file)),
    ):
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            assert await ask(count, services.address) == 0
            # The command line reads the same names, and a service leaves them alone.
            with connect(services.address) as client:
                assert await asyncio.to_thread(count, client) == 0
            _SomeService.load()
    with pytest.raises(NotAllowed, match="CORONIUM_TOKEN_FILE"):
        await ask(count, services.address)


class _SomeService(ServiceSettings):
    """A service that is not the client."""

    service = "results"


def test_a_token_file_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORONIUM_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(ClientError, match="CORONIUM_TOKEN_FILE names"):
        Client("127.0.0.1:1")


async def test_a_scope_that_is_missing_is_a_sentence(services: Services, reader: str) -> None:
    with pytest.raises(NotAllowed, match="reader needs the scope submit"):
        await ask(lambda client: client.publish(good_spectrum()), services.address, token=reader)


async def test_a_watch_without_a_token_is_refused_at_once(services: Services) -> None:
    with pytest.raises(NotAllowed):
        await ask(lambda client: client.watch(), services.address)


async def test_a_client_waits_where_the_service_asks_for_it(tmp_path: Path, principals: PrincipalsFile) -> None:
    token = principals.add("station", "submit", calls_per_second=3)
    async with served(tmp_path, AuthSettings(principals_file=str(principals.path))) as services:
        begun = time.monotonic()
        spectra = [good_spectrum(f"target-{number}") for number in range(6)]
        sent = await ask(lambda client: client.publish(spectra), services.address, token=token)
        assert len(sent) == len(services.published) == 6
        # Three at once, the others at three per second.
        assert time.monotonic() - begun > 0.9


async def test_a_wait_that_is_too_long_is_an_error_with_the_time(tmp_path: Path, principals: PrincipalsFile) -> None:
    token = principals.add("station", "submit", calls_per_second=0.01)
    async with served(tmp_path, AuthSettings(principals_file=str(principals.path))) as services:
        spectra = [good_spectrum("one"), good_spectrum("two")]
        with pytest.raises(LimitReached, match="station may make") as raised:
            await ask(lambda client: client.publish(spectra), services.address, token=token)
        assert 30 < raised.value.seconds <= 100


async def test_a_server_that_is_full_is_no_fault_of_the_spectrum(tmp_path: Path) -> None:
    async with served(tmp_path, AuthSettings(), max_calls=1) as services:

        def publish_while_watching(client: Client) -> None:
            with client.watch():
                client.publish(good_spectrum())

        with pytest.raises(LimitReached, match="is asked too much"):
            await ask(publish_while_watching, services.address, token="")


@pytest.mark.parametrize(
    "address",
    [
        "results.example.org:50054",
        "10.0.0.5:50054",
        "127.0.0.1.example.org:50054",
        "127.0.0.1:1@example.org:50054",
        "[2001:db8::1]:50054",
        "ipv4:127.0.0.1:1,10.0.0.5:2",
    ],
)
def test_a_token_is_not_sent_to_another_machine_without_encryption(address: str) -> None:
    token = new_token()
    with pytest.raises(ClientError, match="without encryption") as raised:
        Client(address, token=token)
    assert token not in str(raised.value)
    Client(address, token=token, tls=Tls()).close()
    Client(address).close()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/coronium.sock"])
def test_a_token_may_go_to_this_machine(address: str) -> None:
    refuse_to_tell(new_token(), address, None)


async def test_certificates_come_from_arguments_or_the_environment(
    tmp_path: Path, principals: PrincipalsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = principals.add("reader", "read")
    authority = Authority(tmp_path / "authority")
    server, own = authority.issue("server"), authority.issue("client")
    auth = AuthSettings(principals_file=str(principals.path))
    files = {"certificate_file": server.certificate_file, "key_file": server.key_file}
    async with served(tmp_path, auth, client_ca_file=authority.ca_file, **files) as services:
        tls = Tls(authority.ca_file, own.certificate_file, own.key_file)
        assert await ask(count, services.address, token=token, tls=tls) == 0
        with pytest.raises(ServiceUnreachable):
            await ask(count, services.address, token=token, tls=Tls(authority.ca_file), timeout=3.0)
        monkeypatch.setenv("CORONIUM_TOKEN", token)
        monkeypatch.setenv("CORONIUM_CLIENT__CA_FILE", authority.ca_file)
        monkeypatch.setenv("CORONIUM_CLIENT__CERTIFICATE_FILE", own.certificate_file)
        monkeypatch.setenv("CORONIUM_CLIENT__KEY_FILE", own.key_file)
        assert await ask(count, services.address) == 0
        with connect(services.address) as client:
            assert await asyncio.to_thread(count, client) == 0


def test_a_certificate_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"none\.pem cannot be read"):
        Client("127.0.0.1:1", tls=Tls(str(tmp_path / "none.pem")))
