"""gRPC submission, for those without Kafka: the same checks, the same topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc

from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_STREAM_SPECTRA
from coronium.contract.topics import SPECTRA
from coronium.ingestion.checks import check, parse
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.runtime.auth.caller import current
from coronium.runtime.stage import Outgoing, Rejected, Transient
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc, spectrum_pb2

Produce = Callable[[Sequence[Outgoing], Headers], Awaitable[None]]
"""Produces records and returns when the broker acknowledged them; raises `Transient` when it does not."""


class IngestionService(ingestion_pb2_grpc.IngestionServiceServicer):
    """Checks each spectrum, publishes it unchanged to the spectra topic and answers its fingerprint.

    The stage then ingests it like any other, so what was acknowledged here is in Kafka and survives a crash.

    Parameters
    ----------
    produce : Produce
    recent : RecentFingerprints
        What the stage ingested lately.
    """

    def __init__(self, produce: Produce, recent: RecentFingerprints) -> None:
        self._produce = produce
        self._recent = recent

    async def Submit(
        self, request: ingestion_pb2.SubmitRequest, context: grpc.aio.ServicerContext
    ) -> ingestion_pb2.SubmitResponse:
        """Answer the fingerprint once the spectrum is in Kafka, or INVALID_ARGUMENT with the reason."""
        try:
            accepted = await self._accept(request.spectrum)
        except Rejected as rejected:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, rejected.detail)
        except Transient as problem:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(problem))
        return ingestion_pb2.SubmitResponse(fingerprint=accepted, duplicate=accepted in self._recent)

    async def SubmitStream(
        self,
        request_iterator: AsyncIterator[ingestion_pb2.SubmitStreamRequest],
        context: grpc.aio.ServicerContext,
    ) -> ingestion_pb2.SubmitStreamResponse:
        """Take spectra until the caller ends; a bad one is reported with its position, the others go on.

        More than `MAX_STREAM_SPECTRA` end the call: those before were taken, what is not is sent on another stream.
        """
        response = ingestion_pb2.SubmitStreamResponse()
        index = 0
        async for request in request_iterator:
            if index == MAX_STREAM_SPECTRA:
                await context.abort(
                    grpc.StatusCode.OUT_OF_RANGE,
                    f"{index} spectra were taken, which is the most of one stream: send those after them on another.",
                )
            try:
                response.fingerprints.append(await self._accept(request.spectrum))
            except Rejected as rejected:
                response.rejections.add(index=index, reason=rejected.detail)
            except Transient as problem:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"spectrum {index}: {problem}")
            index += 1
        return response

    async def _accept(self, spectrum: spectrum_pb2.Spectrum) -> str:
        value = spectrum.SerializeToString()
        try:
            checked = parse(value)
            check(checked)
        except Rejected:
            current.get().submission_rejected()
            raise
        await self._produce([Outgoing(SPECTRA, checked.target.encode(), value)], Headers.new())
        return fingerprint(checked)
