"""What ingestion can be told."""

from typing import ClassVar

from pydantic import Field

from coronium.runtime.settings import ServiceSettings


class IngestionSettings(ServiceSettings):
    """Settings of the ingestion service."""

    service: ClassVar[str] = "ingestion"

    remembered_spectra: int = Field(
        100_000, ge=0, description="Fingerprints remembered to drop duplicates early; 0 drops none."
    )
