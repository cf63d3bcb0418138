"""The doors of the system: gRPC requests, REST requests, and the questions behind both, against the real services.

The services run in a thread of this process over a real gRPC server and a real store; only the broker is missing:
what ingestion would publish is taken and forgotten, and the control topic is a list.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx

from coronium.contract.headers import Headers
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings, UpstreamSettings
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.results.database import open_engine, upgrade
from coronium.results.queries import Queries
from coronium.results.records import entry
from coronium.results.service import ResultsServicer
from coronium.results.store import Store
from coronium.results.watch import ChangeFeed
from coronium.runtime.control import ControlServicer
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
)
from tests.fuzz import seeds
from tests.fuzz.mutators import mutant
from tests.fuzz.rest import drawn_request
from tests.fuzz.target import PASSED, REFUSED, Target, split
from tests.unit.control_topic import ControlTopic

SECONDS = 8.0

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

_RESULTS, _INGESTION = "/coronium.v1.ResultsService/", "/coronium.v1.IngestionService/"
_CONTROL = "/coronium.v1.ControlService/"


async def _forget(records: Sequence[Outgoing], headers: Headers) -> None:
    """Take what would be published."""


class Services:
    """Ingestion, results and control over gRPC, and the gateway before them, on an event loop of their own."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._engine = open_engine(f"sqlite:///{folder / 'results.db'}")
        upgrade(self._engine)
        for message in (*seeds.messages()["posterior"], *seeds.messages()["dead_letter"]):
            Store(self._engine).write([entry(message)])
        self.port = self.await_(self._start())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=GRPC_CHANNEL_OPTIONS)

    def await_(self, something: Any) -> Any:
        """Run a coroutine on the services' loop and return its result."""
        return asyncio.run_coroutine_threadsafe(something, self._loop).result(SECONDS)

    async def request(self, method: str, path: str, content_type: str, body: bytes) -> httpx.Response:
        """Ask the gateway."""
        headers = {"content-type": content_type} if content_type else {}
        return await self._gateway.request(method, path, content=body, headers=headers)

    def stop(self) -> None:
        """Let go of everything."""
        self.channel.close()
        self.await_(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._engine.dispose()

    async def _start(self) -> int:
        def add_results(server: grpc.aio.Server) -> str:
            queries = Queries(self._engine)
            results_pb2_grpc.add_ResultsServiceServicer_to_server(ResultsServicer(queries, ChangeFeed(queries)), server)
            return results_pb2.DESCRIPTOR.services_by_name["ResultsService"].full_name

        def add_ingestion(server: grpc.aio.Server) -> str:
            servicer = IngestionService(_forget, RecentFingerprints(10))
            ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(servicer, server)
            return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

        def add_control(server: grpc.aio.Server) -> str:
            servicer = ControlServicer(ControlTopic(delay=0.0).replica("a"))
            control_pb2_grpc.add_ControlServiceServicer_to_server(servicer, server)
            return control_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name

        self._server = GrpcServer(GrpcSettings(port=0), AuthSettings(), add_results, add_ingestion, add_control)
        await self._server.start()
        address = f"127.0.0.1:{self._server.port}"
        application = create_application(GatewaySettings(upstream=UpstreamSettings(results=address, ingestion=address)))
        self._lifespan = application.router.lifespan_context(application)
        await self._lifespan.__aenter__()
        self._gateway = httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway")
        return self._server.port

    async def _stop(self) -> None:
        await self._gateway.aclose()
        await self._lifespan.__aexit__(None, None, None)
        await self._server.stop()


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Run the services while the block runs."""
    running = Services(folder)
    try:
        yield running
    finally:
        running.stop()


def targets(running: Services) -> list[Target]:
    """Return all targets of this file."""
    asked = results_pb2.ResultFilter(target="capella", instrument="chandra-letg", name="x", log_density_min=8.0)
    asked.observed_from.seconds = 1_700_000_000
    result = seeds.posterior().result_id
    spectra = seeds.spectra()
    requests: dict[str, tuple[Any, ...]] = {
        f"{_RESULTS}Get": (results_pb2.GetRequest(id=result, with_observation=True),),
        f"{_RESULTS}List": (
            results_pb2.ListRequest(filter=asked, page_size=3),
            results_pb2.ListRequest(page_token="WzEsICIwMTIzNDU2Nzg5YWJjZGVmIl0="),
        ),
        f"{_RESULTS}ListDeadLetters": (results_pb2.ListDeadLettersRequest(stage="fitting", page_size=2),),
        f"{_RESULTS}Draws": (results_pb2.DrawsRequest(result_id=result),),
        f"{_RESULTS}Watch": (results_pb2.WatchRequest(filter=asked, since=asked.observed_from),),
        f"{_INGESTION}Submit": tuple(ingestion_pb2.SubmitRequest(spectrum=one) for one in spectra),
        f"{_INGESTION}SubmitStream": tuple(ingestion_pb2.SubmitStreamRequest(spectrum=one) for one in spectra),
        f"{_CONTROL}Reload": (control_pb2.ReloadRequest(model_hash="ab12"),),
        f"{_CONTROL}SetLogLevel": (control_pb2.SetLogLevelRequest(level="debug"),),
        # They have no fields yet; a later client's are passed over.
        f"{_CONTROL}Status": (control_pb2.StatusRequest(),),
        f"{_CONTROL}Pause": (control_pb2.PauseRequest(),),
        f"{_CONTROL}Resume": (control_pb2.ResumeRequest(),),
        f"{_CONTROL}Drain": (control_pb2.DrainRequest(),),
    }
    methods = list(requests)

    def draw(random: random.Random) -> bytes:
        number = random.randrange(len(methods))
        return bytes([number]) + mutant(random, random.choice(requests[methods[number]]))

    corpus = [
        bytes([i]) + one.SerializeToString(deterministic=True)
        for i, name in enumerate(methods)
        for one in requests[name]
    ]
    return [
        Target("grpc", _calling(running.channel, methods), draw, corpus, 4_000),
        Target("rest", _asking(running), drawn_request, [], 1_200),
    ]


def _calling(channel: grpc.Channel, methods: list[str]) -> Callable[[bytes], str]:
    """Return what sends raw bytes as a request: the first byte says to which method."""
    kinds = {}
    for name in methods:
        kind = {"SubmitStream": channel.stream_unary, "Draws": channel.unary_stream, "Watch": channel.unary_stream}
        kinds[name] = kind.get(name.rsplit("/", 1)[-1], channel.unary_unary)(name)

    def run(data: bytes) -> str:
        name = methods[data[0] % len(methods)] if data else methods[0]
        call, value = kinds[name], data[1:]
        try:
            if name.endswith("Watch"):
                # It ends when the watcher does.
                watching = call(value, timeout=SECONDS)
                watching.initial_metadata()
                watching.cancel()
                code = watching.code()
                return PASSED if code is grpc.StatusCode.CANCELLED else _judged(code, watching.details())
            if name.endswith("SubmitStream"):
                call(iter([value, value]), timeout=SECONDS)
            elif name.endswith("Draws"):
                list(call(value, timeout=SECONDS))
            else:
                call(value, timeout=SECONDS)
        except grpc.RpcError as error:
            return _judged(error.code(), error.details())
        return PASSED

    return run


def _judged(code: grpc.StatusCode, details: str | None) -> str:
    if code not in REFUSALS or not details:
        raise AssertionError(f"{code.name}: {details}")
    return REFUSED


def _asking(running: Services) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        method, path, content_type, *rest = (*split(data), b"", b"", b"")
        body = b"\x1f".join(rest[: max(len(split(data)) - 3, 0)])
        verb = method.decode("ascii", "ignore") or "GET"
        try:
            httpx.URL(f"http://gateway/{path.decode('latin-1')}")
        except (httpx.InvalidURL, ValueError):
            return REFUSED
        answer = running.await_(
            running.request(
                "".join(c for c in verb if c.isalpha()) or "GET",
                "/" + path.decode("latin-1"),
                "".join(c for c in content_type.decode("latin-1") if c.isprintable() and c.isascii()),
                body,
            )
        )
        if answer.status_code >= 500:
            raise AssertionError(f"{answer.status_code}: {answer.text[:300]}")
        if answer.status_code >= 400 and not answer.json()["detail"]:
            raise AssertionError(f"{answer.status_code} without a sentence")
        return PASSED if answer.status_code < 400 else REFUSED

    return run
