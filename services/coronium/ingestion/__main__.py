"""`python -m coronium.ingestion`: the ingestion service."""

import sys

import grpc

from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.ingestion.settings import IngestionSettings
from coronium.ingestion.stage import IngestionStage
from coronium.runtime.application import Publisher, run_stage
from coronium.runtime.settings import SettingsError, exit_on_settings_error
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc


def run(settings: IngestionSettings) -> int:
    """Run the service until it is told to end; return the exit code."""
    recent = RecentFingerprints(settings.remembered_spectra)

    def serve(server: grpc.aio.Server, publisher: Publisher) -> str:
        ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(IngestionService(publisher.publish, recent), server)
        return ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"].full_name

    return run_stage(IngestionStage(recent), settings, [serve])


def main() -> int:
    """Read the settings and run."""
    try:
        settings = IngestionSettings.load()
    except SettingsError as error:
        exit_on_settings_error(error)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
