"""Ingestion as a stage: published spectra in, canonical observations out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from coronium.contract.flow import PRODUCTS, SOURCES
from coronium.contract.headers import is_time
from coronium.contract.topics import OBSERVATIONS, StageName
from coronium.ingestion.canonicalise import observation
from coronium.ingestion.checks import check, parse
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.runtime import metrics
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage
from coronium.v1 import spectrum_pb2


@dataclass(frozen=True)
class Ingested:
    """What became of one spectrum.

    Attributes
    ----------
    observation : Observation
    size : int
        Bytes of the spectrum as published.
    duplicate : bool
        It was ingested before and is dropped.
    """

    observation: spectrum_pb2.Observation
    size: int
    duplicate: bool


class IngestionStage(Stage[Ingested, Ingested]):
    """Check, canonicalise and name every spectrum.

    Parameters
    ----------
    recent : RecentFingerprints
        Shared with the gRPC service, which tells its callers about duplicates.
    """

    name = StageName.INGESTION
    sources = SOURCES[StageName.INGESTION]
    products = PRODUCTS[StageName.INGESTION]
    batch_size = 32
    batch_seconds = 0.02

    def __init__(self, recent: RecentFingerprints) -> None:
        self._recent = recent

    def decode(self, incoming: Incoming) -> Ingested:
        """Check a spectrum and make its observation, or raise `Rejected` with the sentence to act on."""
        message = parse(incoming.value)
        check(message)
        made = observation(message, _received_at(incoming.timestamp))
        duplicate = made.fingerprint in self._recent and not incoming.trace.replay_id
        return Ingested(made, len(incoming.value), duplicate)

    async def work(self, jobs: list[Ingested]) -> list[Ingested | Rejected]:
        """Hand on what `decode` made: milliseconds, which a worker process would only delay."""
        return list(jobs)

    def encode(self, incoming: Incoming, job: Ingested, result: Ingested) -> Sequence[Outgoing]:
        """Produce the observation under its target; nothing for a duplicate."""
        if result.duplicate:
            return ()
        made = result.observation
        return (Outgoing(OBSERVATIONS, made.spectrum.target.encode(), made.SerializeToString(deterministic=True)),)

    def committed(self, incoming: Incoming, job: Ingested, result: Ingested) -> None:
        """Remember the fingerprint, now that the observation is safe."""
        self._recent.add(result.observation.fingerprint)

    def observe(self, result: Ingested) -> None:
        """Count the spectrum, or the duplicate."""
        if result.duplicate:
            metrics.DUPLICATES.inc()
            return
        metrics.SPECTRUM_BYTES.observe(result.size)
        metrics.SPECTRA.labels(instrument=result.observation.spectrum.instrument).inc()


def _received_at(timestamp: float) -> Timestamp:
    """Return the record's own time, so that a replay gives the same observation; now where it has none."""
    seconds = timestamp if is_time(timestamp) else time.time()
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
