"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from coronium.contract.limits import MAX_NAME
from coronium.gateway.access import Access
from coronium.gateway.middleware import CountRequests, LimitBody
from coronium.gateway.routes import SCHEMAS, router
from coronium.gateway.settings import GatewaySettings
from coronium.gateway.submission import definitions
from coronium.gateway.upstream import UpstreamError, connected
from coronium.runtime.auth.gate import Gate


def create_application(settings: GatewaySettings) -> FastAPI:
    """Return the application; channels to the services are opened when it starts.

    Every error is answered as `Problem`: one sentence under `detail`.

    Raises
    ------
    StartError
        The principals file cannot be used.
    """
    gate = Gate(settings.auth)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with connected(settings.upstream) as upstream:
            application.state.upstream = upstream
            await gate.start()
            try:
                yield
            finally:
                await gate.stop()

    application = FastAPI(
        title="Coronium",
        version=version("coronium"),
        description="Posteriors for temperature, density, emission measure and abundances of stellar coronae.",
        lifespan=lifespan,
    )
    application.include_router(router)
    application.openapi()["components"]["schemas"] |= definitions(SCHEMAS)
    application.add_middleware(LimitBody, max_bytes=settings.max_body_bytes, seconds=settings.body_seconds)
    application.add_middleware(Access, gate=gate, max_header_bytes=settings.max_header_bytes)
    application.add_middleware(CountRequests)
    application.add_exception_handler(UpstreamError, _upstream_problem)
    application.add_exception_handler(RequestValidationError, _validation_problem)
    application.add_exception_handler(HTTPException, _http_problem)
    return application


def _problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status_code=status, headers=headers)


async def _upstream_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UpstreamError)
    return _problem(error.status, str(error), error.headers)


async def _http_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, f"{error.detail}.")


async def _validation_problem(_: Request, error: Exception) -> JSONResponse:
    """Name the first fault and how many more there are."""
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    # It may repeat a name from the request.
    where = ".".join(str(part) for part in faults[0]["loc"][1:])[:MAX_NAME] or "body"
    others = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    return _problem(422, f"{where}: {faults[0]['msg']}{others}.")
