"""Extraction as a stage: canonical observations in, the same with what the network made of them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.features_checks import check_identity
from coronium.contract.flow import PRODUCTS, SOURCES
from coronium.contract.topics import FEATURES, StageName
from coronium.contract.wire import read_message
from coronium.extraction.settings import ExtractionSettings
from coronium.network.files import WeightsError, combined_version
from coronium.runtime import metrics
from coronium.runtime.errors import StartError
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage
from coronium.v1 import dead_letter_pb2, spectrum_pb2

if TYPE_CHECKING:
    # The parent process has no use for torch, which the worker's module imports.
    from coronium.extraction.worker import Extracted


class ExtractionStage(Stage[bytes, "Extracted"]):
    """Show every observation to the network of its instrument.

    A spectrum of an instrument that no network knows is passed on with an empty network version.

    Parameters
    ----------
    settings : ExtractionSettings
    """

    name = StageName.EXTRACTION
    sources = SOURCES[StageName.EXTRACTION]
    products = PRODUCTS[StageName.EXTRACTION]
    worker = "coronium.extraction.worker:create"

    def __init__(self, settings: ExtractionSettings) -> None:
        self.batch_size = settings.batch_size
        self.batch_seconds = settings.batch_seconds
        self._device, self._weights = settings.device, settings.weights

    @property
    def worker_settings(self) -> dict[str, Any]:
        """Device and folder of the weights."""
        return {"device": self._device, "weights": self._weights}

    async def start(self) -> None:
        """Compare the weights with their recorded hashes. Raises `StartError`."""
        try:
            combined_version(Path(self._weights) if self._weights else None)
        except WeightsError as fault:
            raise StartError(f"{fault}.") from None

    def decode(self, incoming: Incoming) -> bytes:
        """Check that the value is an observation; the worker reads its arrays."""
        try:
            check_identity(read_message(spectrum_pb2.Observation, incoming.value))
        except DecodeError as fault:
            raise Rejected(
                dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED, f"The value is not an Observation: {fault}."
            ) from None
        except InvalidSpectrum as fault:
            raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(fault)) from None
        return incoming.value

    def encode(self, incoming: Incoming, job: bytes, result: Extracted) -> Sequence[Outgoing]:
        """Produce the features under their target."""
        return (Outgoing(FEATURES, result.target.encode(), result.features),)

    def observe(self, result: Extracted) -> None:
        """Record the network's time, or that there was no network."""
        if result.known:
            metrics.NETWORK_SECONDS.observe(result.network_seconds)
        else:
            metrics.NETWORK_SKIPPED.inc()
