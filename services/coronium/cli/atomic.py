"""`coronium atomic`: the emissivity table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coronium.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Build or show the emissivity table.")


@app.command()
def build(
    chianti: Annotated[Path, typer.Option(metavar="DIR", help="Unpacked CHIANTI 10 database.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the table goes; default: the file the package reads.")
    ] = None,
    hdf5: Annotated[
        Path | None, typer.Option(help="fiasco's conversion of the database; made where it does not exist.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Solved ions: an interrupted build goes on where it stopped.")
    ] = None,
) -> None:
    """Make the emissivity table from a CHIANTI database: hours on one core, minutes where ions are solved already."""
    from coronium.physics.atomic.build import build
    from coronium.physics.atomic.table import SHIPPED

    where = output or SHIPPED
    table = build(chianti, where, hdf5=hdf5, cache=cache)
    print(f"{where}: {len(table.line_wavelength)} lines, {where.stat().st_size / 1e6:.1f} MB")


@app.command()
def show(as_json: Json = False) -> None:
    """Show where the installed emissivity table comes from."""
    from coronium.cli import output
    from coronium.physics.atomic.table import load_table

    table = load_table()
    provenance = {"lines": len(table.line_wavelength), **table.provenance}
    if as_json:
        output.write_json(provenance)
        return
    for name, value in provenance.items():
        print(f"{name}: {f'{len(value)} entries' if isinstance(value, dict) else value}")
