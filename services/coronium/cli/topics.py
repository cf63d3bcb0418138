"""`coronium topics`: the topics of the stream on a Kafka cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from coronium.cli.options import Json, KafkaAddress
from coronium.contract.topics import DEFAULT_PARTITIONS

app = typer.Typer(no_args_is_help=True, help="Create or list the topics of the stream.")


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, help="Of every topic that carries targets.")] = DEFAULT_PARTITIONS,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing; existing ones are reported, never changed."""
    from coronium.cli import output, settings
    from coronium.runtime.admin import create_topics

    reports = create_topics(settings.load(kafka=kafka).kafka, partitions, replication)
    if as_json:
        output.write_json([{**vars(report), "differs": report.differs} for report in reports])
        return
    for report in reports:
        state = "created" if report.created else "exists"
        if report.differs:
            state = f"exists with {report.partitions} partitions instead of {report.wanted}; left as it is"
        print(f"{report.name}: {state}")


@app.command("list")
def list_topics(kafka: KafkaAddress = None, as_json: Json = False) -> None:
    """List the topics of the stream, and what is missing."""
    from rich.table import Table

    from coronium.cli import output, settings
    from coronium.runtime.admin import existing

    where = settings.load(kafka=kafka).kafka
    there = existing(where)
    rows = [
        {
            "topic": name,
            "partitions": there.get(name),
            "key": topic.key,
            "message": topic.message,
            "retention_days": None if topic.retention is None else topic.retention.days,
            "max_bytes": topic.max_bytes,
        }
        for name, topic in where.topics
    ]
    if as_json:
        output.write_json(rows)
        return
    table = Table(header_style="bold")
    for heading in ("topic", "partitions", "key", "kept"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        kept = "newest of each key" if row["retention_days"] is None else f"{row['retention_days']} days"
        table.add_row(str(row["topic"]), str(row["partitions"] or "[red]missing[/]"), str(row["key"]), kept)
    output.console().print(table)
