"""`coronium serve`: one service in the foreground."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer


class Service(StrEnum):
    """The services, in the order of the stream."""

    INGESTION = "ingestion"
    EXTRACTION = "extraction"
    FITTING = "fitting"
    RESULTS = "results"
    GATEWAY = "gateway"


def serve(service: Annotated[Service, typer.Argument(help="Which one.")]) -> None:
    """Run one service until Ctrl-C; its settings come from the environment (`coronium config show SERVICE`)."""
    from importlib import import_module

    sys.exit(import_module(f"coronium.{service.value}.__main__").main())
