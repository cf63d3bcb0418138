"""A backup brings everything back, on both databases; what would lose something is refused in a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from coronium.results.backup import BackupError, backup, inventory_of, restore
from coronium.results.database import check_schema, downgrade, open_engine
from coronium.results.postgresql_tools import ToolFailed, run_tool
from coronium.results.records import Record, entry
from coronium.results.store import Store
from tests.unit.posterior_factory import dead_letter, joint, observation, posterior
from tests.unit.results_databases import (
    administer,
    database_url,
    engine,
    in_database,
    postgresql,
    postgresql_tools,
    postgresql_url,
    sqlite_url,
)

__all__ = ["database_url", "engine", "postgresql", "postgresql_tools", "postgresql_url", "sqlite_url"]

POSTERIORS = ("survey.posteriors.v1", 3)
RECORDS: list[Record] = [
    posterior(priors="default-1", fitted_hours=2.0),
    posterior(priors="default-2", fitted_hours=3.0),
    joint(seeds=(0, 1)),
    observation(),
    dead_letter(offset=1),
    dead_letter("unanswered", offset=2),
]


def write(engine: Engine, records: list[Record], reached: int) -> None:
    Store(engine).write([entry(record) for record in records], {POSTERIORS: reached})


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with something of everything."""
    write(engine, RECORDS, 7)
    return engine


@pytest.fixture
def other(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty database of the same kind as `engine`: a file that does not exist, or one with the schema."""
    if engine.url.get_backend_name() == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'elsewhere' / 'results.db'}")
    else:
        server = request.getfixturevalue("postgresql")

        administer(server, "CREATE DATABASE elsewhere")
        made = open_engine(in_database(server, "elsewhere"))
    yield made
    made.dispose()
    if engine.url.get_backend_name() == "postgresql":
        administer(server, "DROP DATABASE elsewhere WITH (FORCE)")


def test_what_was_saved_comes_back_whole(filled: Engine, other: Engine, tmp_path: Path, postgresql_tools: Path) -> None:
    saved = backup(filled, tmp_path / "night.backup", postgresql_tools)
    assert saved.size == saved.path.stat().st_size > 0
    assert saved.inventory == inventory_of(filled)
    assert saved.inventory.rows | {"results": 3, "observations": 1, "dead_letters": 2} == saved.inventory.rows
    assert saved.inventory.offsets == {"survey.posteriors.v1/3": 7}
    restored = restore(other, saved.path, postgresql_tools)
    assert restored == saved.inventory
    check_schema(other)
    # It is a database like any other: what comes next is stored.
    write(other, [posterior("capella", seeds=(5,))], 8)
    assert inventory_of(other).rows["results"] == 4
    assert not list(tmp_path.glob("*.partial"))


def test_the_same_content_has_the_same_checksum_in_whatever_order_it_came(
    engine: Engine, other: Engine, tmp_path: Path, postgresql_tools: Path
) -> None:
    empty = backup(engine, tmp_path / "empty.backup", postgresql_tools)
    restore(other, empty.path, postgresql_tools)
    write(engine, RECORDS, 7)
    write(other, RECORDS[::-1], 7)
    assert inventory_of(engine).checksums == inventory_of(other).checksums
    for record in (posterior("capella", seeds=(5,)), observation(seed=5), dead_letter(offset=5)):
        before = inventory_of(engine).checksum
        write(engine, [record], 8)
        assert inventory_of(engine).checksum != before
        assert inventory_of(engine).checksum != inventory_of(other).checksum
        write(other, [record], 8)
        assert inventory_of(engine).checksum == inventory_of(other).checksum


def test_a_full_database_is_replaced_only_by_force_and_then_whole(
    filled: Engine, tmp_path: Path, postgresql_tools: Path
) -> None:
    saved = backup(filled, tmp_path / "night.backup", postgresql_tools)
    write(filled, [posterior("later", seeds=(9,)), dead_letter("later", offset=9)], 9)
    with pytest.raises(BackupError, match=r"is not empty \(.*4 results.*--force"):
        restore(filled, saved.path, postgresql_tools)
    assert inventory_of(filled).rows["results"] == 4
    assert restore(filled, saved.path, postgresql_tools, force=True) == saved.inventory


def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    filled: Engine, other: Engine, tmp_path: Path, postgresql_tools: Path
) -> None:
    downgrade(filled, "0001")
    saved = backup(filled, tmp_path / "old.backup", postgresql_tools)
    assert (saved.inventory.schema, dict(saved.inventory.offsets)) == ("0001", {})
    for into in (other, filled):
        restored = restore(into, saved.path, postgresql_tools, force=True)
        check_schema(into)
        assert restored.checksums == saved.inventory.checksums
        assert "stored_offsets" in inspect(into).get_table_names()
    # Over a newer one too: what the backup does not know is gone.
    write(filled, [], 9)
    assert restore(filled, saved.path, postgresql_tools, force=True).offsets == {}


def test_a_backup_of_a_newer_schema_is_refused(
    filled: Engine, other: Engine, tmp_path: Path, postgresql_tools: Path
) -> None:
    with filled.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    saved = backup(filled, tmp_path / "future.backup", postgresql_tools)
    with pytest.raises(BackupError, match="schema 9999, which this version does not know"):
        restore(other, saved.path, postgresql_tools)


def test_no_backup_is_overwritten_and_nothing_else_is_taken_for_one(
    filled: Engine, other: Engine, tmp_path: Path, postgresql_tools: Path
) -> None:
    saved = backup(filled, tmp_path / "night.backup", postgresql_tools)
    with pytest.raises(BackupError, match="exists"):
        backup(filled, saved.path, postgresql_tools)
    with pytest.raises(BackupError, match="nothing to save"):
        backup(other, tmp_path / "nothing.backup", postgresql_tools)
    stranger = tmp_path / "stranger"
    stranger.write_bytes(b"no backup at all")
    with pytest.raises(BackupError, match="is not a backup"):
        restore(other, stranger, postgresql_tools)
    with pytest.raises(FileNotFoundError):
        restore(other, tmp_path / "absent", postgresql_tools)


def test_a_backup_goes_into_its_own_kind_of_database_only(
    postgresql_url: str, sqlite_url: str, tmp_path: Path, postgresql_tools: Path
) -> None:
    here, there = open_engine(postgresql_url), open_engine(sqlite_url)
    saved = backup(here, tmp_path / "night.backup", postgresql_tools)
    with pytest.raises(BackupError, match="of a postgresql database and cannot be brought back into a sqlite one"):
        restore(there, saved.path)
    here.dispose()
    there.dispose()


def test_a_damaged_file_leaves_the_database_as_it_was(filled: Engine, tmp_path: Path, postgresql_tools: Path) -> None:
    saved = backup(filled, tmp_path / "night.backup", postgresql_tools)
    damaged = tmp_path / "damaged.backup"
    content = saved.path.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    before = inventory_of(filled)
    with pytest.raises((BackupError, ToolFailed)):
        restore(filled, damaged, postgresql_tools, force=True)
    assert inventory_of(filled) == before


def test_missing_tools_are_one_sentence(postgresql_url: str, tmp_path: Path) -> None:
    engine = open_engine(postgresql_url)
    with pytest.raises(ToolFailed, match=r"There is no pg_dump in .*--tools"):
        backup(engine, tmp_path / "night.backup", tmp_path)
    engine.dispose()


def test_the_password_is_on_no_command_line(
    postgresql_url: str, tmp_path: Path, postgresql_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    told = tmp_path / "told"
    script = tools / "pg_dump"
    real = shutil.which("pg_dump", path=str(postgresql_tools))
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\necho "password $PGPASSWORD" >> {told}\nexec {real} "$@"\n')
    script.chmod(0o755)
    engine = open_engine(postgresql_url)
    with_password = open_engine(engine.url.set(password="s3cret").render_as_string(hide_password=False))
    backup(with_password, tmp_path / "night.backup", tools)
    arguments, environment = told.read_text().splitlines()
    assert "s3cret" not in arguments
    assert environment == "password s3cret"
    for one in (engine, with_password):
        one.dispose()


@pytest.mark.parametrize("name", ["sslpassword", "scram_client_key"])
def test_a_secret_that_the_tools_would_show_is_refused(tmp_path: Path, name: str) -> None:
    told = tmp_path / "told"
    script = tmp_path / "pg_dump"
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    script.chmod(0o755)
    url = make_url(f"postgresql://astronomer:s3cret@127.0.0.1/results?{name}=hunter2")
    with pytest.raises(ToolFailed) as raised:
        run_tool("pg_dump", url, tmp_path, "--format=custom")
    assert name in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert not told.exists()
