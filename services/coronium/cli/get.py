"""`coronium get`: one result in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coronium.cli.options import Json, ResultsAddress


def get(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of the result, or fingerprint of the spectrum.")],
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw data, predictive band, residuals and lines to this file.")
    ] = None,
    arrays: Annotated[bool, typer.Option("--arrays", help="With --json: also draws and predictive bands.")] = False,
    results: ResultsAddress = None,
    as_json: Json = False,
) -> None:
    """Show one result: parameters with their intervals or limits, identified lines, flags."""
    from rich.text import Text

    from coronium.cli import output, settings
    from coronium.cli.tables import lines_table, parameters_table

    with settings.connect(results) as client:
        result = client.get(identifier, with_observation=plot is not None)
    if plot is not None:
        from coronium.pictures import spectrum_picture

        spectrum_picture(result, result.observation, plot)
    if as_json:
        output.write_json(result.to_dict(arrays))
        return
    console = output.console()
    console.print(Text(result.target, "bold"), f"{result.name}  {result.instrument}, {result.plasma_model}")
    console.print(f"result {result.id}, {result.rung}, fitted {result.fitted_at}")
    if result.superseded_by:
        console.print(f"superseded by {result.superseded_by}", style="yellow")
    console.print(f"flags: {', '.join(result.flags) or 'none'}")
    console.print(parameters_table(result), lines_table(result))
    if plot is not None:
        console.print(f"picture: {plot}")
