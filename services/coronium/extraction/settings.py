"""What extraction can be told."""

from typing import ClassVar

from pydantic import Field

from coronium.runtime.settings import ServiceSettings


class ExtractionSettings(ServiceSettings):
    """Settings of the extraction service."""

    service: ClassVar[str] = "extraction"

    device: str = Field("cpu", description="Where the network runs: cpu, cuda or cuda:N.")
    weights: str = Field("", description="Folder of the network weights; empty: those that ship with coronium.")
    batch_size: int = Field(32, ge=1, description="Most spectra of one batch.")
    batch_seconds: float = Field(0.05, ge=0, description="Longest wait for a batch to fill.")
