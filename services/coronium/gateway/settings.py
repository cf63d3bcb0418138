"""What the gateway can be told, beyond what every service can."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from coronium.contract.limits import MAX_BODY_BYTES
from coronium.runtime.settings import Section, ServiceSettings, check_certificates


class UpstreamSettings(Section):
    """Where the gRPC services are that the gateway asks."""

    results: str = Field(default="127.0.0.1:50054", description="ResultsService, host:port.")
    ingestion: str = Field(default="127.0.0.1:50051", description="IngestionService, host:port.")
    deadline_seconds: float = Field(default=10.0, gt=0, description="Longest wait for an answer of a service.")
    ca_file: str = Field(default="", description="Certificate authority of the services; empty: no encryption.")
    certificate_file: str = Field(default="", description="Certificate of the gateway, where services ask for it.")
    key_file: str = Field(default="", description="Private key of the gateway.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        if self.certificate_file and not self.ca_file:
            raise ValueError("certificate_file and key_file need ca_file")
        return self


class GatewaySettings(ServiceSettings):
    """Settings of the gateway."""

    service: ClassVar[str] = "gateway"

    host: str = Field(default="127.0.0.1", description="Address to serve HTTP on; 0.0.0.0 for all.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to serve HTTP on; 0 takes a free one.")
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, gt=0, description="Largest request body.")
    max_header_bytes: int = Field(default=16 * 1024, ge=1024, description="Largest head of a request.")
    max_connections: int = Field(default=512, ge=1, description="Most connections at once; more are answered 503.")
    head_seconds: float = Field(default=10.0, gt=0, description="Longest wait for the head of a request.")
    body_seconds: float = Field(
        default=60.0, gt=0, description="Longest time for a body to come, and for an answer to be taken."
    )
    certificate_file: str = Field(default="", description="Server certificate; empty: no encryption.")
    key_file: str = Field(default="", description="Private key of the server.")
    client_ca_file: str = Field(default="", description="Only clients with a certificate of this authority may call.")
    upstream: UpstreamSettings = Field(default_factory=UpstreamSettings)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_certificates(self.certificate_file, self.key_file, self.client_ca_file)
        return self
