"""`coronium config`: what can be set, what is set, and where it came from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coronium.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Show settings, or write their reference.")


class Service(StrEnum):
    """Everything that has settings."""

    INGESTION = "ingestion"
    EXTRACTION = "extraction"
    FITTING = "fitting"
    RESULTS = "results"
    GATEWAY = "gateway"
    CLIENT = "client"


@app.command()
def show(service: Annotated[Service, typer.Argument(help="Whose settings.")], as_json: Json = False) -> None:
    """Show every setting of a service with its value and origin; secrets are masked."""
    from rich.table import Table

    from coronium.cli import output
    from coronium.cli.settings_reference import settings_class

    origins = settings_class(service.value).origins()
    if as_json:
        output.write_json([vars(origin) for origin in origins])
        return
    table = Table(header_style="bold")
    for heading in ("setting", "value", "from", "meaning"):
        table.add_column(heading, overflow="fold")
    for origin in origins:
        table.add_row(origin.name, origin.value, origin.origin, origin.description)
    output.console().print(table)


@app.command()
def schema(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Root of the repository.")] = Path(),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a file is not up to date.")] = False,
) -> None:
    """Write docs/settings.md and .env.example from the settings classes."""
    from coronium.cli.failures import CommandError
    from coronium.cli.settings_reference import environment_example, reference

    services = [service.value for service in Service]
    contents = {
        folder / "docs" / "settings.md": reference(services),
        folder / ".env.example": environment_example(services),
    }
    if check:
        stale = [str(path) for path, text in contents.items() if not path.is_file() or path.read_text() != text]
        if stale:
            raise CommandError(f"{', '.join(stale)} is not up to date: run `coronium config schema`.")
        return
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path)
