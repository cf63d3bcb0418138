"""`coronium results`: what is in the store."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json, ResultsAddress, Target

if TYPE_CHECKING:
    from coronium.client.queries import Filters

Range = Annotated[str | None, typer.Option(metavar="LOW:HIGH", help="Range of the median.")]


def results(
    target: Target = None,
    instrument: Annotated[str | None, typer.Option(help="Name of the instrument.")] = None,
    name: Annotated[str | None, typer.Option(help="Your own name of the spectrum.")] = None,
    observed_from: Annotated[datetime | None, typer.Option(help="Observed at or after this time (UTC).")] = None,
    observed_until: Annotated[datetime | None, typer.Option(help="Observed before this time (UTC).")] = None,
    log_t: Range = None,
    log_n: Range = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also those a later result replaced.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most results.")] = 100,
    results: ResultsAddress = None,
    as_json: Json = False,
) -> None:
    """List results, the newest first."""
    from coronium.cli import output, settings
    from coronium.cli.ranges import low_high
    from coronium.cli.tables import results_table

    filters: Filters = {"include_superseded": superseded}
    if target is not None:
        filters["target"] = target
    if instrument is not None:
        filters["instrument"] = instrument
    if name is not None:
        filters["name"] = name
    if observed_from is not None:
        filters["observed_from"] = observed_from
    if observed_until is not None:
        filters["observed_until"] = observed_until
    if log_t is not None:
        filters["log_temperature"] = low_high(log_t, "--log-t")
    if log_n is not None:
        filters["log_density"] = low_high(log_n, "--log-n")
    with settings.connect(results) as client:
        found = list(islice(client.list(**filters), limit))
    if as_json:
        output.write_json([result.to_dict() for result in found])
    else:
        output.console().print(results_table(found))
