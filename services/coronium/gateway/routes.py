"""The routes: each is one gRPC call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from coronium.contract.limits import MAX_PAGE, MAX_SPECTRUM_BYTES
from coronium.gateway import answers, schemas
from coronium.gateway.submission import Instant, SpectrumInput, spectrum_message
from coronium.gateway.upstream import Caller, Upstream, UpstreamError
from coronium.runtime.metrics import REGISTRY
from coronium.v1 import ingestion_pb2, posterior_pb2, results_pb2, spectrum_pb2

router = APIRouter()

_KINDS = {"single": posterior_pb2.RESULT_KIND_SINGLE, "joint": posterior_pb2.RESULT_KIND_JOINT}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": meaning}
    for status, meaning in {
        400: "The request makes no sense.",
        401: "The service needs a token, or does not know this one.",
        403: "The token does not allow this.",
        422: "The request has not the documented shape.",
        429: "Too much at once; Retry-After says when to come back.",
        503: "A service behind the gateway does not answer.",
        504: "A service behind the gateway did not answer in time.",
    }.items()
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": schemas.Problem, "description": "There is no such result."}}
_TOO_LARGE: dict[int | str, dict[str, Any]] = {
    413: {"model": schemas.Problem, "description": "The spectrum is too large."}
}

_reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader of bodies")
"""Reads one body at a time, beside the event loop: a large one takes a good part of a second and some 200 MiB."""

SCHEMAS = "#/components/schemas/{model}"
"""Where the description of the interface keeps the models."""

_SPECTRUM_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": SCHEMAS.format(model=SpectrumInput.__name__)}}},
}


def _upstream(request: Request) -> Upstream:
    return request.app.state.upstream


def _caller(request: Request) -> Caller:
    return Caller.of(request.headers.get("authorization", ""), request.client.host if request.client else "")


async def _spectrum(request: Request) -> spectrum_pb2.Spectrum:
    """Return the spectrum in the body of a request. FastAPI would read it on the event loop."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The body is not application/json")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "The body ended too early") from None
    try:
        return await asyncio.get_running_loop().run_in_executor(_reader, spectrum_message, body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None


Services = Annotated[Upstream, Depends(_upstream)]
Asking = Annotated[Caller, Depends(_caller)]
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE)]
PageToken = Annotated[str, Query(description="next_page_token of the page before, with the same filter.")]


def _filter(
    target: Annotated[str, Query(description="Exact target, or a prefix ending in '*'.")] = "",
    instrument: str = "",
    name: str = "",
    fingerprint: str = "",
    kind: Literal["single", "joint"] | None = None,
    observed_from: Instant | None = None,
    observed_until: Annotated[Instant | None, Query(description="Observed before this time.")] = None,
    fitted_from: Instant | None = None,
    log_temperature_min: float | None = None,
    log_temperature_max: float | None = None,
    log_density_min: float | None = None,
    log_density_max: float | None = None,
    include_superseded: Annotated[bool, Query(description="Also those a later result replaced.")] = False,
) -> results_pb2.ResultFilter:
    chosen = results_pb2.ResultFilter(
        target=target,
        instrument=instrument,
        name=name,
        fingerprint=fingerprint,
        include_superseded=include_superseded,
        log_temperature_min=log_temperature_min,
        log_temperature_max=log_temperature_max,
        log_density_min=log_density_min,
        log_density_max=log_density_max,
    )
    if kind is not None:
        chosen.kind = _KINDS[kind]
    for stamp, instant in (
        (chosen.observed_from, observed_from),
        (chosen.observed_until, observed_until),
        (chosen.fitted_from, fitted_from),
    ):
        if instant is not None:
            stamp.FromDatetime(instant)
    return chosen


@router.get("/v1/results", name="results", tags=["results"], responses=_PROBLEMS)
async def list_results(
    services: Services,
    caller: Asking,
    chosen: Annotated[results_pb2.ResultFilter, Depends(_filter)],
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> schemas.ResultPage:
    """List results, the newest first, without draws and predictive bands."""
    request = results_pb2.ListRequest(filter=chosen, page_size=page_size, page_token=page_token)
    page = await services.call("results", services.results.List, request, caller)
    return schemas.ResultPage(
        results=[answers.result(posterior) for posterior in page.posteriors],
        next_page_token=page.next_page_token or None,
        total=page.total,
    )


@router.get("/v1/results/{id}", name="result", tags=["results"], responses=_PROBLEMS | _MISSING)
async def get_result(services: Services, caller: Asking, id: str) -> schemas.ResultDetail:
    """Return one result by its id, or the current one of a fingerprint."""
    request = results_pb2.GetRequest(id=id)
    return answers.result_detail(await services.call("results", services.results.Get, request, caller))


@router.get("/v1/results/{id}/draws", name="draws", tags=["results"], responses=_PROBLEMS | _MISSING)
async def get_draws(services: Services, caller: Asking, id: str) -> schemas.DrawTable:
    """Return the thinned draws of one result."""
    request = results_pb2.DrawsRequest(result_id=id)
    parts = await services.stream("results", services.results.Draws, request, caller)
    return answers.draw_table(id, (part.draws for part in parts))


@router.post(
    "/v1/spectra",
    name="submit",
    tags=["spectra"],
    status_code=202,
    responses=_PROBLEMS | _TOO_LARGE,
    openapi_extra={"requestBody": _SPECTRUM_BODY},
)
async def submit(
    spectrum: Annotated[spectrum_pb2.Spectrum, Depends(_spectrum)], services: Services, caller: Asking
) -> schemas.Submitted:
    """Submit one spectrum; its result will appear under the fingerprint."""
    if spectrum.ByteSize() > MAX_SPECTRUM_BYTES:
        raise UpstreamError(
            413,
            f"The spectrum takes {spectrum.ByteSize()} bytes and may take {MAX_SPECTRUM_BYTES}; split its exposures.",
        )
    request = ingestion_pb2.SubmitRequest(spectrum=spectrum)
    answer = await services.call("ingestion", services.ingestion.Submit, request, caller)
    return schemas.Submitted(fingerprint=answer.fingerprint, duplicate=answer.duplicate)


@router.get("/v1/dead-letters", name="dead_letters", tags=["operations"], responses=_PROBLEMS)
async def list_dead_letters(
    services: Services,
    caller: Asking,
    stage: Literal["ingestion", "extraction", "fitting", "results"] | None = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> schemas.DeadLetterPage:
    """List messages that stages set aside and no result has beaten, the newest first."""
    request = results_pb2.ListDeadLettersRequest(stage=stage or "", page_size=page_size, page_token=page_token)
    page = await services.call("results", services.results.ListDeadLetters, request, caller)
    return schemas.DeadLetterPage(
        dead_letters=[answers.dead_letter(letter) for letter in page.dead_letters],
        next_page_token=page.next_page_token or None,
        total=page.total,
    )


@router.get("/healthz", name="health", tags=["operations"])
async def healthz() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "ok"}


@router.get("/readyz", name="health", tags=["operations"], responses={503: {"model": schemas.Health}})
async def readyz(services: Services, response: Response) -> schemas.Health:
    """Answer 200 while results can be read; whether spectra can be submitted is told beside it."""
    results, ingestion = await asyncio.gather(services.serving("results"), services.serving("ingestion"))
    response.status_code = 200 if results else 503
    words = {True: "serving", False: "not serving"}
    return schemas.Health(
        status="ready" if results else "not ready", results=words[results], ingestion=words[ingestion]
    )


@router.get("/metrics", name="metrics", tags=["operations"])
async def metrics() -> Response:
    """Return the metrics of this process in Prometheus' text format."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
