"""`coronium db`: the results database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from coronium.results.inventory import Inventory

app = typer.Typer(
    no_args_is_help=True, help="Look after the results database that CORONIUM_RESULTS__DATABASE_URL names."
)

Tools = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of pg_dump and pg_restore; default: CORONIUM_RESULTS__DATABASE_TOOLS."),
]


@app.callback()
def database() -> None:
    """Look after the results database that CORONIUM_RESULTS__DATABASE_URL names."""


@app.command()
def upgrade() -> None:
    """Create the schema, or bring an older one up to date."""
    from coronium.results.database import shown, upgrade

    engine, _ = _open(None)
    upgrade(engine)
    print(f"{shown(engine.url)} has the schema of this version.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    tools: Tools = None,
    as_json: Json = False,
) -> None:
    """Save the database to a file, while it is in use, with the Kafka offsets that it has reached."""
    from coronium.cli import output
    from coronium.results.backup import backup

    engine, folder = _open(tools)
    saved = backup(engine, file, folder)
    if as_json:
        output.write_json(
            {"file": str(saved.path), "bytes": saved.size, "sha256": saved.sha256, **_as_json(saved.inventory)}
        )
        return
    _show(saved.inventory)
    print(f"{saved.path}: {saved.size} bytes, SHA-256 {saved.sha256}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From `coronium db backup`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the database.")] = False,
    tools: Tools = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back; the service goes on from its offsets and catches up from Kafka."""
    from coronium.cli import output
    from coronium.results.backup import restore
    from coronium.results.database import shown

    engine, folder = _open(tools)
    restored = restore(engine, file, folder, force=force)
    if as_json:
        output.write_json(_as_json(restored))
        return
    _show(restored)
    print(f"{shown(engine.url)}: restored from {file}")


@app.command()
def checksum(as_json: Json = False) -> None:
    """Print rows, offsets and checksums: two databases with the same content print the same checksums."""
    from coronium.cli import output
    from coronium.results.backup import inventory_of
    from coronium.results.database import check_schema

    engine, _ = _open(None)
    check_schema(engine)
    found = inventory_of(engine)
    if as_json:
        output.write_json(_as_json(found))
    else:
        _show(found)


def _open(tools: Path | None) -> tuple[Engine, Path | None]:
    """Return the database of the settings, and where PostgreSQL's tools are."""
    from coronium.results.database import open_engine
    from coronium.results.settings import ResultsSettings

    settings = ResultsSettings.load()
    return open_engine(settings.database_url.get_secret_value()), tools or settings.database_tools


def _as_json(inventory: Inventory) -> dict[str, object]:
    return {
        "schema": inventory.schema,
        "rows": dict(inventory.rows),
        "offsets": dict(inventory.offsets),
        "checksums": dict(inventory.checksums),
        "checksum": inventory.checksum,
    }


def _show(inventory: Inventory) -> None:
    from rich.table import Table

    from coronium.cli import output

    table = Table(header_style="bold")
    for heading in ("table", "rows", "checksum"):
        table.add_column(heading, justify="right" if heading == "rows" else "left")
    for name, rows in inventory.rows.items():
        table.add_row(name, str(rows), inventory.checksums.get(name, ""))
    table.add_row("all", "", inventory.checksum)
    output.console().print(table)
    by_topic: dict[str, list[str]] = {}
    for place, offset in inventory.offsets.items():
        topic, _, partition = place.rpartition("/")
        by_topic.setdefault(topic, []).append(f"{partition}:{offset}")
    for topic, stored in by_topic.items():
        print(f"{topic}, next offset by partition: {' '.join(stored)}")
