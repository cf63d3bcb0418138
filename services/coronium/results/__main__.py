"""Run the results service: `python -m coronium.results`."""

import sys

import grpc

from coronium.results.database import open_engine
from coronium.results.queries import Queries
from coronium.results.service import ResultsServicer
from coronium.results.settings import ResultsSettings
from coronium.results.stage import ResultsStage
from coronium.results.watch import ChangeFeed
from coronium.runtime.application import Publisher, run_stage
from coronium.runtime.errors import StartError
from coronium.v1 import results_pb2, results_pb2_grpc

_QUESTION_SECONDS = 30.0
"""A question that takes the database longer is given up: its caller has gone, or will not wait."""


def run(settings: ResultsSettings) -> int:
    """Store what arrives and serve what was stored, until SIGTERM; return the exit code.

    Raises
    ------
    DatabaseUnavailable
        The address is not one of a database.
    """
    url, readers = settings.database_url.get_secret_value(), settings.database_connections - 1
    # One connection is the stage's own: it stores one batch after another, however much is asked.
    # The database is away long before a record that waits for it is a suspect: it gives up first, then we do.
    third = settings.loop.deadline_seconds / 3
    storing = open_engine(url, pool_size=1, statement_seconds=third)
    reading = open_engine(url, pool_size=readers, statement_seconds=_QUESTION_SECONDS)

    def serve(server: grpc.aio.Server, _: Publisher) -> str:
        queries = Queries(reading, threads=readers)
        servicer = ResultsServicer(queries, ChangeFeed(queries, settings.watch_seconds))
        results_pb2_grpc.add_ResultsServiceServicer_to_server(servicer, server)
        return results_pb2.DESCRIPTOR.services_by_name["ResultsService"].full_name

    try:
        return run_stage(ResultsStage(storing, settings.kafka.topics, 2 * third), settings, [serve])
    finally:
        reading.dispose()


def main() -> int:
    """Read the settings and run; a fault is one sentence on standard error."""
    try:
        return run(ResultsSettings.load())
    except StartError as error:
        print(f"coronium {ResultsSettings.service}: {error}", file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main())
