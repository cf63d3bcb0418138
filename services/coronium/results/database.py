"""The results database: opening it, bringing its schema up to date, saying what is wrong in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from coronium.runtime.errors import Unreachable

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no other software takes as an advisory lock in the same database.
_UPGRADE_LOCK = 0x636F726F6E69756D
_BUSY_SECONDS = 30.0
# A connection whose other end answers nothing at all is given up within half a minute.
_SILENT_NETWORK = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


class DatabaseUnavailable(Unreachable):
    """The database cannot be used; the text is one sentence that says what to do."""


def open_engine(url: str, *, pool_size: int = 10, statement_seconds: float = 0.0) -> Engine:
    """Return an engine for a SQLite file or a PostgreSQL database; nothing is connected yet.

    Parameters
    ----------
    url : str
        ``sqlite:///path/to/file.db`` or ``postgresql://user:password@host/name``.
    pool_size : int
        Most connections held open.
    statement_seconds : float
        PostgreSQL gives up a statement that takes longer, the wait for another's lock with it, and a transaction whose
        client falls silent for as long; 0: as its own settings say.

    Raises
    ------
    DatabaseUnavailable
        The address is not one of a SQLite file or a PostgreSQL database.
    """
    try:
        address = make_url(url)
        # An @ in the name: a password with a bare slash was taken apart in the wrong place, and would be shown.
        if address.get_backend_name() == "postgresql" and "@" not in (address.database or ""):
            # Times near the ends of the calendar have no local time in some zones.
            options = ["-c timezone=UTC"]
            if statement_seconds:
                milliseconds = round(statement_seconds * 1000)
                options.append(f"-c statement_timeout={milliseconds}")
                options.append(f"-c idle_in_transaction_session_timeout={milliseconds}")
            return create_engine(
                address.set(drivername="postgresql+psycopg"),
                pool_size=pool_size,
                max_overflow=0,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 10, "options": " ".join(options), **_SILENT_NETWORK},
            )
        if address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:"):
            engine = create_engine(address, pool_size=pool_size, connect_args={"timeout": _BUSY_SECONDS})
            event.listen(engine, "connect", _configure_sqlite)
            return engine
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise DatabaseUnavailable(_not_an_address()) from error
    raise DatabaseUnavailable(_not_an_address())


def upgrade(engine: Engine) -> None:
    """Create the schema, or bring an older one up to date. Safe to run again, and from several places.

    Raises
    ------
    DatabaseUnavailable
        The database cannot be reached or changed.
    """
    try:
        if engine.url.get_backend_name() == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        with engine.begin() as connection:
            if engine.url.get_backend_name() == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            command.upgrade(_alembic(connection), "head")
    except (SQLAlchemyError, CommandError, OSError) as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the schema back to an older revision; what only newer tables hold is lost.

    Raises
    ------
    DatabaseUnavailable
        The database cannot be reached or changed.
    """
    try:
        with engine.begin() as connection:
            command.downgrade(_alembic(connection), revision)
    except (SQLAlchemyError, CommandError) as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error


def revisions() -> list[str]:
    """Return the schemas that this software knows, the oldest first."""
    return [script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()][::-1]


def check_schema(engine: Engine) -> None:
    """Return when the database answers and has the schema of this software.

    Raises
    ------
    DatabaseUnavailable
        It does not answer, or its schema is older or newer.
    """
    expected = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    try:
        with engine.connect() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error
    if present != expected:
        raise DatabaseUnavailable(
            f"The results database {shown(engine.url)} has schema {present or 'none'} and this "
            f"software needs {expected}: run `coronium db upgrade`, or start the version that wrote it."
        )


def unreachable(url: URL, error: Exception) -> str:
    """Return the sentence for a database that did not do what it was asked, without its password."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".")
    return (
        f"The results database {shown(url)} cannot be used ({cause}): check that it is running, "
        "that CORONIUM_RESULTS__DATABASE_URL names it, and that this user may write to it."
    )


def shown(url: URL) -> str:
    """Return an address without its password, which libpq takes in the query too."""
    return url.set(query={}).render_as_string()


def _not_an_address() -> str:
    return (
        "CORONIUM_RESULTS__DATABASE_URL is not the address of a database: give sqlite:///path/to/file.db or "
        "postgresql://user:password@host:5432/name, with %40 for @ and %2F for / in the password."
    )


def _configure_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers do not wait for the writer, and a commit survives a power cut: the offset is committed after it.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
