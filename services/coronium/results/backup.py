"""Save a results database to one file, and bring it back.

How far Kafka is stored is in the database, noted with the rows, so a backup is consistent whenever it is made: after
a restore the service goes on from there and catches up what came later.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from coronium.results.database import DatabaseUnavailable, downgrade, revisions, shown, unreachable, upgrade
from coronium.results.inventory import Inventory, take_inventory
from coronium.results.models import Base
from coronium.results.postgresql_tools import read_archive, run_tool
from coronium.runtime.errors import StartError

_VERSION_TABLE = "alembic_version"
_MAGIC = {b"PGDMP": "postgresql", b"SQLite format 3\0": "sqlite"}
_BUSY_SECONDS = 60.0


class BackupError(StartError):
    """A backup cannot be made or brought back; the text is one sentence that says what to do."""


@dataclass(frozen=True)
class Saved:
    """A backup.

    Parameters
    ----------
    path : path
    size : int
        Bytes.
    sha256 : str
        Of the file.
    inventory : Inventory
        Of what is in it.
    """

    path: Path
    size: int
    sha256: str
    inventory: Inventory


def inventory_of(engine: Engine) -> Inventory:
    """Look through a database. Raises `DatabaseUnavailable`."""
    try:
        with _snapshot(engine) as connection:
            return take_inventory(connection)
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error


def backup(engine: Engine, path: Path, tools: Path | None = None) -> Saved:
    """Save a database while it is in use.

    Parameters
    ----------
    engine : Engine
    path : path
        A new file: SQLite's own format, or pg_dump's custom one.
    tools : path, optional
        Folder of pg_dump; default: on PATH.

    Raises
    ------
    BackupError
        The file exists, or the database has no tables of ours.
    ToolFailed
        pg_dump is missing or failed.
    DatabaseUnavailable
        The database does not answer.
    """
    if path.exists():
        raise BackupError(f"{path} exists: name another file, so that no backup is lost.")
    nothing = BackupError(f"{shown(engine.url)} is no results database: there is nothing to save.")
    if engine.url.get_backend_name() == "sqlite" and not Path(str(engine.url.database)).exists():
        # To look into it would make it.
        raise nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with _snapshot(engine) as connection:
            if not MigrationContext.configure(connection).get_current_revision():
                raise nothing
            if engine.url.get_backend_name() == "postgresql":
                _dump(engine, connection, partial, tools)
                inventory = take_inventory(connection)
            else:
                _copy(str(engine.url.database), partial)
                with _read_only(partial).connect() as copy:
                    inventory = take_inventory(copy)
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error
    partial.rename(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Saved(path, path.stat().st_size, digest, inventory)


def restore(engine: Engine, path: Path, tools: Path | None = None, *, force: bool = False) -> Inventory:
    """Bring a backup back, and its schema up to date; services may be running.

    Parameters
    ----------
    engine : Engine
        Where to; made when it is a SQLite file that does not exist.
    path : path
        From `backup`, of a database of the same kind.
    tools : path, optional
        Folder of pg_restore; default: on PATH.
    force : bool
        Replace what is there.

    Returns
    -------
    Inventory
        Of the database afterwards.

    Raises
    ------
    BackupError
        The file is no backup of such a database or of a later version, or the database is not empty.
    ToolFailed
        pg_restore is missing or failed; the rows in the database are as they were.
    DatabaseUnavailable
        The database does not answer.
    """
    kind = engine.url.get_backend_name()
    _check_kind(path, kind)
    schema = _archived_schema(path, tools) if kind == "postgresql" else _copied_schema(path)
    known = revisions()
    if schema not in known:
        raise BackupError(
            f"{path} has schema {schema or 'none'}, which this version does not know: install the one that wrote it."
        )
    try:
        if kind == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        present = inventory_of(engine)
        if any(present.rows.values()) and not force:
            found = ", ".join(f"{number} {table}" for table, number in present.rows.items() if number)
            raise BackupError(f"{shown(engine.url)} is not empty ({found}): --force replaces what is there.")
        if kind == "sqlite":
            _copy(path, engine.url.database)
        else:
            if present.schema in known and known.index(present.schema) > known.index(schema):
                # Tables that the backup does not know would be left over.
                downgrade(engine, schema)
            options = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--no-owner")
            run_tool("pg_restore", engine.url, tools, *options, "--no-privileges", str(path))
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(unreachable(engine.url, error)) from error
    upgrade(engine)
    return inventory_of(engine)


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees one state of the database."""
    if engine.url.get_backend_name() != "postgresql":
        with engine.connect() as connection:
            yield connection
        return
    with engine.connect() as connection:
        isolated = connection.execution_options(isolation_level="REPEATABLE READ")
        with isolated.begin():
            yield isolated


def _dump(engine: Engine, connection: Connection, path: Path, tools: Path | None) -> None:
    """Write what a connection sees."""
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    tables = [*(table.name for table in Base.metadata.sorted_tables), _VERSION_TABLE]
    run_tool(
        "pg_dump",
        engine.url,
        tools,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
        *(f"--table={table}" for table in tables),
        f"--file={path}",
    )


def _copy(source: str | Path, destination: str | Path | None) -> None:
    """Copy a SQLite database that may be in use over another that may be."""
    try:
        with (
            closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as there,
            closing(sqlite3.connect(str(destination), timeout=_BUSY_SECONDS)) as here,
        ):
            there.backup(here)
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied to {destination}: {error}.") from error


def _read_only(path: Path) -> Engine:
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True),
        poolclass=NullPool,
    )


def _check_kind(path: Path, kind: str) -> None:
    with path.open("rb") as file:
        head = file.read(16)
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if found is None:
        raise BackupError(f"{path} is not a backup that `coronium db backup` has written.")
    if found != kind:
        raise BackupError(f"{path} is of a {found} database and cannot be brought back into a {kind} one.")


def _copied_schema(path: Path) -> str:
    try:
        with _read_only(path).connect() as copy:
            return MigrationContext.configure(copy).get_current_revision() or ""
    except SQLAlchemyError as error:
        raise BackupError(f"{path} cannot be read: {getattr(error, 'orig', error)}.") from error


def _archived_schema(path: Path, tools: Path | None) -> str:
    """Return the revision inside a dump: the one row of its table of versions."""
    script = read_archive(tools, "--data-only", f"--table={_VERSION_TABLE}", "--file=-", str(path))
    lines = iter(script.splitlines())
    for line in lines:
        if line.startswith("COPY "):
            return next(lines, "").strip()
    return ""
