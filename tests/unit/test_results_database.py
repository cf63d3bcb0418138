"""The schema is what the models say, and a database that cannot be used is one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError

from coronium.results import __main__ as service
from coronium.results.database import DatabaseUnavailable, check_schema, open_engine, upgrade
from coronium.results.models import Base
from coronium.results.queries import Queries
from coronium.results.settings import ResultsSettings
from coronium.results.stage import ResultsStage
from tests.unit.results_databases import (
    administer,
    database_url,
    engine,
    in_database,
    postgresql,
    postgresql_url,
    sqlite_url,
)

__all__ = ["administer", "database_url", "engine", "in_database", "postgresql", "postgresql_url", "sqlite_url"]


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    check_schema(engine)


def test_a_statement_that_takes_too_long_is_given_up_where_that_is_asked_for(postgresql_url: str) -> None:
    patient, impatient = open_engine(postgresql_url), open_engine(postgresql_url, statement_seconds=0.2)
    sleep = text("SELECT pg_sleep(0.5)")
    with patient.connect() as connection:
        connection.execute(sleep)
    with impatient.connect() as connection, pytest.raises(OperationalError, match="statement timeout"):
        connection.execute(sleep)
    for one in (patient, impatient):
        one.dispose()


def test_the_service_asks_over_other_connections_than_it_stores_over(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: list[Engine] = []

    class Asked(Queries):
        def __init__(self, engine: Engine, threads: int) -> None:
            super().__init__(engine, threads)
            asking.append(engine)
            assert threads == engine.pool.size()

    def timeout(engine: Engine) -> str:
        with engine.connect() as connection:
            return connection.execute(text("SHOW statement_timeout")).scalar_one()

    def run_stage(stage: ResultsStage, settings: ResultsSettings, serve: Sequence[Callable[..., str]]) -> int:
        for one in serve:
            one(grpc.server(ThreadPoolExecutor(1)), None)
        storing, (reading,) = stage._engine, asking
        assert (timeout(storing), timeout(reading)) == ("20s", "30s")
        assert storing.pool.size() + reading.pool.size() == settings.database_connections
        storing.dispose()
        return 7

    monkeypatch.setattr(service, "Queries", Asked)
    monkeypatch.setattr(service, "run_stage", run_stage)
    assert service.run(ResultsSettings(database_url=SecretStr(postgresql_url))) == 7


def test_an_upgrade_may_be_run_again(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT number FROM changes")).scalars().all() == [0]


def test_upgrades_from_several_places_at_once_are_one_upgrade(postgresql: str) -> None:
    administer(postgresql, "CREATE DATABASE contended")
    failures: list[BaseException] = []

    def replica() -> None:
        own = open_engine(in_database(postgresql, "contended"))
        try:
            upgrade(own)
        except BaseException as error:
            failures.append(error)
        finally:
            own.dispose()

    threads = [threading.Thread(target=replica) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_new_sqlite_file_is_made_with_its_folder(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new' / 'results.db'}")
    upgrade(engine)
    assert "results" in inspect(engine).get_table_names()
    engine.dispose()


def sentence(raised: pytest.ExceptionInfo[DatabaseUnavailable]) -> str:
    text = str(raised.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "oracle:///x"])
def test_an_address_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        open_engine(url)
    assert "CORONIUM_RESULTS__DATABASE_URL" in sentence(raised)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://astronomer:secret@127.0.0.1:1/results")
    for attempt in (check_schema, upgrade):
        with pytest.raises(DatabaseUnavailable) as raised:
            attempt(engine)
        assert "secret" not in sentence(raised)
        assert "127.0.0.1" in str(raised.value)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        upgrade(open_engine(f"sqlite:///{path}"))


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailable) as raised:
        upgrade(open_engine(f"sqlite:///{tmp_path / 'file' / 'results.db'}"))
    assert "results.db" in sentence(raised)


def test_a_missing_schema_names_the_command_that_makes_it(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(DatabaseUnavailable, match="coronium db upgrade") as raised:
        check_schema(engine)
    assert "schema none" in sentence(raised)


def test_a_schema_of_another_version_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnavailable, match="9999"):
        check_schema(engine)
