"""`coronium topics`: the topics of the stream on a Kafka cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coronium.cli.options import Json, KafkaAddress
from coronium.contract.topics import DEFAULT_PARTITIONS

app = typer.Typer(no_args_is_help=True, help="Topics of the stream, and who may do what on them.")


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


@app.command()
def access(
    principal: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=PRINCIPAL", help="Principal of a role, if it is not User:ROLE. May be repeated."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Create what is missing on the cluster.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="With --apply: delete entries on our topics and groups that are extra.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write the table for docs/security.md.")] = False,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> None:
    """Show who needs which permission on the Kafka cluster, or grant exactly these."""
    from coronium.cli import access_tables, output, settings
    from coronium.operations.access import apply as apply_access
    from coronium.operations.access import grants

    if prune and not apply:
        raise typer.BadParameter("--prune needs --apply")
    where, principals = settings.load(kafka=kafka).kafka, access_tables.principals(principal or [])
    if apply:
        report = apply_access(where, principals, prune)
        if as_json:
            output.write_json(access_tables.report_as_json(report))
        else:
            access_tables.print_report(report)
        return
    wanted = grants(where.topics, principals)
    if as_json:
        output.write_json([access_tables.as_json(grant) for grant in wanted])
    elif markdown:
        print(access_tables.markdown(where.topics))
    else:
        access_tables.print_grants(wanted)


@app.command()
def user(
    name: Annotated[str, typer.Argument(help="User that the cluster knows by a SCRAM password.")],
    password_file: Annotated[Path, typer.Option(metavar="FILE", help="Holds the password; - reads standard input.")],
    kafka: KafkaAddress = None,
) -> None:
    """Create a SCRAM user on the Kafka cluster, or change its password."""
    import sys

    from coronium.cli import settings
    from coronium.cli.failures import CommandError
    from coronium.operations.access import set_password

    text = sys.stdin.read() if str(password_file) == "-" else password_file.read_text(encoding="utf-8")
    if not (password := text.rstrip("\r\n")):
        raise CommandError(f"{password_file} holds no password.")
    where = settings.load(kafka=kafka).kafka
    set_password(where, name, password)
    print(f"user {name} has this {where.sasl_mechanism} password now")
