"""`python -m coronium.ingestion`: the ingestion service."""

import sys

import grpc

from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.ingestion.settings import IngestionSettings
from coronium.ingestion.stage import IngestionStage
from coronium.runtime.application import Publisher, run_stage
from coronium.runtime.errors import StartError
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc


def run(settings: IngestionSettings) -> int:
    """Run the service until it is told to end; return the exit code."""
    recent = RecentFingerprints(settings.remembered_spectra)

    def serve(server: grpc.aio.Server, publisher: Publisher) -> str:
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(IngestionService(publisher.publish, recent), server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    return run_stage(IngestionStage(recent), settings, [serve])


def main() -> int:
    """Read the settings and run; a fault is one sentence on standard error."""
    try:
        return run(IngestionSettings.load())
    except StartError as error:
        print(f"coronium {IngestionSettings.service}: {error}", file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main())
