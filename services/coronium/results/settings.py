"""What the results service can be told, beyond what every service can."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from coronium.contract.topics import StageName
from coronium.runtime.settings import GrpcSettings, ServiceSettings


class ResultsGrpcSettings(GrpcSettings):
    """Where gRPC is served: beside the other services of one machine."""

    port: int = Field(default=50054, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")


class ResultsSettings(ServiceSettings):
    """Settings of the results service."""

    service: ClassVar[str] = StageName.RESULTS.value

    grpc: ResultsGrpcSettings = Field(default_factory=ResultsGrpcSettings)
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///coronium-results.db"),
        description="sqlite:///path/to/file.db, or postgresql://user:password@host:5432/name.",
    )
    database_tools: Path | None = Field(
        default=None, description="Folder of pg_dump and pg_restore for `coronium db`; empty: they are on PATH."
    )
    database_connections: int = Field(
        default=10, ge=2, le=1000, description="Most connections of one replica to the database."
    )
    watch_seconds: float = Field(
        default=0.25, gt=0, description="Time between two looks for new results while somebody watches."
    )
