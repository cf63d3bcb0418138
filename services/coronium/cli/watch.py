"""`coronium watch`: results as they come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json, ResultsAddress, Target

if TYPE_CHECKING:
    from coronium.client.queries import Filters


def watch(
    target: Target = None,
    since: Annotated[datetime | None, typer.Option(help="Also what was stored from this time on (UTC).")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this time.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many results.")] = None,
    results: ResultsAddress = None,
    as_json: Json = False,
) -> None:
    """Print results as they are stored, until Ctrl-C."""
    from coronium.cli import output, settings
    from coronium.cli.tables import row

    filters: Filters = {} if target is None else {"target": target}
    start = since.replace(tzinfo=UTC) if since is not None else None
    with settings.connect(results) as client, client.watch(start, seconds, **filters) as incoming:
        for number, result in enumerate(incoming, 1):
            if as_json:
                output.write_json(result.to_dict())
            else:
                print("  ".join(row(result)), flush=True)
            if number == count:
                return
