"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class PlasmaModel(StrEnum):
    """Temperature structure."""

    ISOTHERMAL = "isothermal"
    GAUSSIAN_DEM = "gaussian-dem"


Json = Annotated[bool, typer.Option("--json", help="Write JSON for a machine instead of a table.")]

ResultsAddress = Annotated[
    str | None,
    typer.Option("--results", metavar="HOST:PORT", help="Results service; default: CORONIUM_CLIENT__RESULTS_ADDRESS."),
]
IngestionAddress = Annotated[
    str | None,
    typer.Option(
        "--ingestion", metavar="HOST:PORT", help="Publish over gRPC to this ingestion service, without Kafka."
    ),
]
KafkaAddress = Annotated[
    str | None,
    typer.Option("--kafka", metavar="HOST:PORT", help="Kafka brokers; default: CORONIUM_KAFKA__BOOTSTRAP_SERVERS."),
]
Target = Annotated[str | None, typer.Option(help="The exact target, or a prefix ending in *.")]
Seed = Annotated[int, typer.Option(help="Of the random numbers: the same seed gives the same answer.")]
