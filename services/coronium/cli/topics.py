"""`coronium topics`: the topics of the stream on a Kafka cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json, KafkaAddress
from coronium.contract.topics import DEFAULT_PARTITIONS

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(no_args_is_help=True, help="Topics of the stream, and who may do what on them.")


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, help="Of every topic that carries targets.")] = DEFAULT_PARTITIONS,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing; existing ones are reported, never changed.

    CORONIUM_CLIENT__RETENTION__SPECTRA_DAYS, ..._INTERMEDIATE_DAYS, ..._POSTERIORS_DAYS and ..._DEAD_LETTERS_DAYS
    say how long the broker keeps records.
    """
    from coronium.cli import output, settings
    from coronium.runtime.admin import create_topics

    where = settings.load(kafka=kafka)
    reports = create_topics(where.kafka, partitions, replication, where.retention.by_kind)
    if as_json:
        output.write_json(
            [
                {**vars(report), "differs": report.differs, "retention_differs": report.retention_differs}
                for report in reports
            ]
        )
        return
    for report in reports:
        state = "created" if report.created else "exists"
        if report.differs:
            state += f" with {report.partitions} partitions instead of {report.wanted}; left as it is"
        if report.retention_ms is not None and report.retention_differs:
            state += (
                f"; keeps records for {_kept(report.retention_ms)} instead of {_kept(report.wanted_retention_ms)}, "
                "which `coronium topics set-retention` changes"
            )
        print(f"{report.name}: {state}")


@app.command("set-retention")
def set_retention(kafka: KafkaAddress = None, as_json: Json = False) -> None:
    """Make existing topics keep records as long as the settings say.

    A shorter time than before lets the broker delete what is older at once; nothing brings it back.
    """
    from coronium.cli import output, settings
    from coronium.runtime import admin

    where = settings.load(kafka=kafka)
    changed = admin.set_retention(where.kafka, where.retention.by_kind)
    if as_json:
        output.write_json(
            [
                {"topic": name, "retention_ms_before": before, "retention_ms": after}
                for name, (before, after) in changed.items()
            ]
        )
        return
    for name, (before, after) in changed.items():
        print(f"{name}: keeps records for {_kept(after)}; before {_kept(before)}")
    if not changed:
        print("All topics keep their records as long as the settings say.")


@app.command("list")
def list_topics(kafka: KafkaAddress = None, as_json: Json = False) -> None:
    """List the topics of the stream as the broker has them, and what is missing."""
    from rich.table import Table
    from rich.text import Text

    from coronium.cli import output, settings
    from coronium.runtime.admin import existing, retentions

    where = settings.load(kafka=kafka)
    there = existing(where.kafka)
    kept = retentions(where.kafka, [name for name, _ in where.kafka.topics if name in there])
    rows = [
        {
            "topic": name,
            "partitions": there.get(name),
            "key": topic.key,
            "message": topic.message,
            "retention_ms": kept.get(name),
            "wanted_retention_ms": topic.retention_milliseconds(where.retention.by_kind),
            "max_bytes": topic.max_bytes,
        }
        for name, topic in where.kafka.topics
    ]
    if as_json:
        output.write_json(rows)
        return
    table = Table(header_style="bold")
    for heading in ("topic", "partitions", "key", "kept"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        partitions = str(row["partitions"]) if row["partitions"] else Text("missing", "red")
        wanted = int(str(row["wanted_retention_ms"]))
        table.add_row(
            str(row["topic"]), partitions, str(row["key"]), _has_and_wanted(kept.get(str(row["topic"])), wanted)
        )
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


def _has_and_wanted(has: int | None, wanted: int) -> str | Text:
    """Return what a topic keeps, and what it should where that differs."""
    from rich.text import Text

    if has is None:
        return ""
    if has != wanted:
        return Text.assemble((_kept(has), "red"), f" instead of {_kept(wanted)}")
    return "newest of each key" if has < 0 else _kept(has)


def _kept(milliseconds: int) -> str:
    """Return a retention in words."""
    return "ever" if milliseconds < 0 else f"{milliseconds / 86_400_000:g} days"
