"""`coronium lag`: how far behind each stage is."""

from __future__ import annotations

from typing import Annotated

import typer

from coronium.cli.options import Json, KafkaAddress


def lag(
    kafka: KafkaAddress = None,
    serve: Annotated[int | None, typer.Option(metavar="PORT", help="Serve the lags as metrics instead.")] = None,
    host: Annotated[str, typer.Option(help="With --serve: address to listen on.")] = "127.0.0.1",
    every: Annotated[float, typer.Option(min=1, help="With --serve: seconds between two looks.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Show the records that each stage has not finished, by topic."""
    from rich.table import Table

    from coronium.cli import output, settings
    from coronium.operations.lag import export, group_lags

    where = settings.load(kafka=kafka).kafka
    if serve is not None:
        export(where, host, serve, every)
    found = group_lags(where)
    if as_json:
        output.write_json([vars(one) for one in found])
        return
    table = Table(header_style="bold")
    for heading in ("stage", "topic", "behind", "partitions"):
        table.add_column(heading, justify="right" if heading in ("behind", "partitions") else "left")
    for one in found:
        table.add_row(one.stage, one.topic, str(one.behind), str(one.partitions))
    output.console().print(table)
