"""`coronium db`: the results database."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Look after the results database.")


@app.callback()
def database() -> None:
    """Look after the results database."""


@app.command()
def upgrade() -> None:
    """Create the schema, or bring an older one up to date; CORONIUM_RESULTS__DATABASE_URL names the database."""
    from coronium.results.database import open_engine, shown, upgrade
    from coronium.results.settings import ResultsSettings

    engine = open_engine(ResultsSettings.load().database_url.get_secret_value())
    upgrade(engine)
    print(f"{shown(engine.url)} has the schema of this version.")
