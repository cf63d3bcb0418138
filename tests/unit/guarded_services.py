"""The real gRPC services behind a real guard, and a principals file that tests write to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from coronium.contract.headers import Headers
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.results.database import open_engine, upgrade
from coronium.results.queries import Queries
from coronium.results.service import ResultsServicer
from coronium.results.store import Store
from coronium.results.watch import ChangeFeed
from coronium.runtime import metrics
from coronium.runtime.auth import directory
from coronium.runtime.auth import principals as file
from coronium.runtime.auth.principals import Principal, Principals, StoredToken
from coronium.runtime.auth.tokens import digest, new_token
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.settings import AuthSettings, GrpcSettings
from coronium.runtime.stage import Outgoing
from coronium.v1 import (
    control_pb2,
    control_pb2_grpc,
    ingestion_pb2,
    ingestion_pb2_grpc,
    results_pb2,
    results_pb2_grpc,
    spectrum_pb2,
)
from tests.unit.spectra import good_spectrum

DEADLINE = 20.0


class PrincipalsFile:
    """A principals file.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = Principals()
        file.write(path, self.content)

    def add(self, name: str, *scopes: str, **fields: Any) -> str:
        """Add a principal, or a token to one that is there; return the token."""
        token = new_token()
        stored = StoredToken(sha256=digest(token), expires_at=fields.pop("expires_at", None))
        known = self.content.named(name)
        if known is None:
            known = Principal(name=name, scopes=frozenset(scopes), **fields)
            self.content.principals.append(known)
        known.tokens.append(stored)
        self.save()
        return token

    def revoke(self, token: str) -> None:
        """Take one token away."""
        for principal in self.content.principals:
            principal.tokens = [one for one in principal.tokens if one.sha256 != digest(token)]
        self.save()

    def save(self) -> None:
        """Write `content`."""
        file.write(self.path, self.content)


class Services:
    """Results, ingestion and control on one server.

    Attributes
    ----------
    store : Store
        Behind the results service.
    published : list of Spectrum
        What ingestion would have produced to Kafka.
    address : str
    """

    def __init__(self, store: Store, published: list[spectrum_pb2.Spectrum], address: str) -> None:
        self.store = store
        self.published = published
        self.address = address


@asynccontextmanager
async def served(folder: Path, auth: AuthSettings, **grpc_settings: Any) -> AsyncIterator[Services]:
    """Serve on a free port of 127.0.0.1 with the settings given."""
    engine = open_engine(f"sqlite:///{folder / 'results.db'}")
    upgrade(engine)
    published: list[spectrum_pb2.Spectrum] = []

    async def produce(records: Sequence[Outgoing], _: Headers) -> None:
        published.extend(spectrum_pb2.Spectrum.FromString(record.value or b"") for record in records)

    def add_results(server: grpc.aio.Server) -> str:
        queries = Queries(engine)
        servicer = ResultsServicer(queries, ChangeFeed(queries, interval=0.02))
        results_pb2_grpc.add_ResultsServiceServicer_to_server(servicer, server)
        return results_pb2.DESCRIPTOR.services_by_name["ResultsService"].full_name

    def add_ingestion(server: grpc.aio.Server) -> str:
        servicer = IngestionService(produce, RecentFingerprints(10))
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(servicer, server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    def add_control(server: grpc.aio.Server) -> str:
        # What a call does that gets through is for the tests with a broker.
        control_pb2_grpc.add_ControlServiceServicer_to_server(control_pb2_grpc.ControlServiceServicer(), server)
        return control_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name

    server = GrpcServer(GrpcSettings(port=0, **grpc_settings), auth, add_results, add_ingestion, add_control)
    await server.start()
    try:
        yield Services(Store(engine), published, f"127.0.0.1:{server.port}")
    finally:
        await server.stop()
        engine.dispose()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def channel_to(
    services: Services, credentials: grpc.ChannelCredentials | None = None, options: Sequence[tuple[str, Any]] = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel of one's own."""
    everything = [*GRPC_CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1), *options]
    if credentials is None:
        opened = grpc.aio.insecure_channel(services.address, options=everything)
    else:
        opened = grpc.aio.secure_channel(services.address, credentials, options=everything)
    async with opened as channel:
        yield channel


@pytest.fixture
def principals(tmp_path: Path) -> PrincipalsFile:
    """An empty principals file."""
    return PrincipalsFile(tmp_path / "principals.json")


@pytest.fixture
async def services(
    tmp_path: Path, principals: PrincipalsFile, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    """The services with authentication; no address is quarantined, because tests ask until a token is known."""
    monkeypatch.setattr(directory, "LOOK_SECONDS", 0.1)
    auth = AuthSettings(principals_file=str(principals.path), quarantine_failures=0)
    async with served(tmp_path, auth) as services:
        yield services


@pytest.fixture
async def channel(services: Services) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the services."""
    async with channel_to(services) as channel:
        yield channel


@pytest.fixture
async def reader(principals: PrincipalsFile, channel: grpc.aio.Channel) -> str:
    """A token of somebody who may read."""
    token = principals.add("reader", "read")
    await eventually(lambda: accepted(channel, token))
    return token


def listing(channel: grpc.aio.Channel, token: str | None, **options: Any) -> Any:
    """Return a call that needs the scope read."""
    metadata = None if token is None else bearer(token)
    stub = results_pb2_grpc.ResultsServiceStub(channel)
    return stub.List(results_pb2.ListRequest(), **{"timeout": DEADLINE, "metadata": metadata, **options})


def submission(channel: grpc.aio.Channel, token: str, bad: bool = False) -> Any:
    """Return a call that needs the scope submit."""
    spectrum = good_spectrum()
    if bad:
        spectrum.channels[0].counts.append(1.0)
    request = ingestion_pb2.SubmitRequest(spectrum=spectrum)
    return ingestion_pb2_grpc.IngestionServiceStub(channel).Submit(request, timeout=DEADLINE, metadata=bearer(token))


def submission_stream(channel: grpc.aio.Channel, token: str, count: int) -> Any:
    """Return a call that streams so many good spectra."""

    async def spectra() -> AsyncIterator[ingestion_pb2.SubmitStreamRequest]:
        for number in range(count):
            yield ingestion_pb2.SubmitStreamRequest(spectrum=good_spectrum(f"target-{number}"))

    stub = ingestion_pb2_grpc.IngestionServiceStub(channel)
    return stub.SubmitStream(spectra(), timeout=DEADLINE, metadata=bearer(token))


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """Return the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def retry_after(error: grpc.aio.AioRpcError) -> float:
    """Return the seconds after which the service wants to be asked again."""
    return float(dict(error.trailing_metadata())["retry-after"])


def refused(reason: str) -> float:
    """Return how many calls this process has refused for a reason."""
    return metrics.REFUSED_CALLS.labels(reason=reason)._value.get()


async def accepted(channel: grpc.aio.Channel, token: str) -> bool:
    """Return whether somebody may list results."""
    try:
        await listing(channel, token)
    except grpc.aio.AioRpcError:
        return False
    return True


async def told(channel: grpc.aio.Channel, token: str, words: str) -> bool:
    """Return whether somebody is told these words instead of results."""
    return words in ((await refusal(listing(channel, token))).details() or "")


async def known(channel: grpc.aio.Channel, token: str) -> bool:
    """Return whether a token that may not read is known."""
    return (await refusal(listing(channel, token))).code() is grpc.StatusCode.PERMISSION_DENIED


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)
