"""Secrets come from files or the environment, and nothing that anybody reads shows them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from coronium.cli.config import Service
from coronium.cli.settings_reference import settings_class
from coronium.results.database import DatabaseUnavailable, check_schema, open_engine, upgrade
from coronium.runtime.logging import JsonFormatter
from coronium.runtime.settings import Settings
from coronium.runtime.settings_sources import Leaf, leaves

SECRET = "hunter2-do-not-show"
LOOKS_SECRET = re.compile(r"password|secret|token|credential|passphrase|private|(?:^|_)(?:key|keys|pin|dsn|url)$", re.I)
DATABASE = f"postgresql://coronium:{SECRET}@127.0.0.1:1/coronium"


COMPANIONS = {"kafka.password": {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__USERNAME": "somebody"}}
"""What must be set with a secret for the settings to hold together."""


def secret_fields() -> list[tuple[str, Leaf]]:
    """Every leaf of every service's settings that its name or its type calls a secret; yes or no is none."""
    return [
        (service.value, leaf)
        for service in Service
        for leaf in leaves(settings_class(service.value))
        if leaf.secret
        or (
            LOOKS_SECRET.search(leaf.path[-1])
            and not leaf.path[-1].endswith("_file")
            and leaf.field.annotation is not bool
        )
    ]


def named(found: tuple[str, Leaf]) -> str:
    return f"{found[0]}-{'.'.join(found[1].path)}"


def value_of(leaf: Leaf) -> str:
    """Something that the setting accepts and that holds the secret."""
    return DATABASE if leaf.path[-1].endswith("url") else SECRET


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CORONIUM_"):
            monkeypatch.delenv(name)


def test_the_walk_finds_the_secrets_that_are_known() -> None:
    found = {(service, ".".join(leaf.path)) for service, leaf in secret_fields()}
    assert {(service.value, "kafka.password") for service in Service} <= found
    assert ("results", "database_url") in found


@pytest.mark.parametrize("found", secret_fields(), ids=named)
def test_a_field_that_looks_secret_is_a_secret(found: tuple[str, Leaf]) -> None:
    assert found[1].secret


@pytest.mark.parametrize("found", secret_fields(), ids=named)
@pytest.mark.parametrize("by_file", [False, True], ids=["environment", "file"])
def test_a_secret_is_masked_wherever_settings_are_shown(
    found: tuple[str, Leaf],
    by_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from coronium.cli.config import show

    service, leaf = found
    name = leaf.names(service)[0]
    if by_file:
        (tmp_path / "secret").write_text(value_of(leaf) + "\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))
    else:
        monkeypatch.setenv(name, value_of(leaf))
    for setting, value in COMPANIONS.get(".".join(leaf.path), {}).items():
        monkeypatch.setenv(f"CORONIUM_{service.upper()}__{setting}", value)
    settings: object = settings_class(service).load()
    shown = [repr(settings), str(settings), settings.model_dump_json(), logged(settings)]  # type: ignore[attr-defined]
    for as_json in (False, True):
        show(Service(service), as_json)
        shown.append(capsys.readouterr().out)
    for part in leaf.path:
        settings = getattr(settings, part)
    assert isinstance(settings, SecretStr)
    assert settings.get_secret_value() == value_of(leaf)
    assert not [text for text in shown if SECRET in text]
    assert "********" in shown[-1]


def logged(settings: object) -> str:
    """The line that a log writes of settings that are handed to it whole."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("results", "r-1"))
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "starting with %s", (settings,), None)
    record.settings = settings
    handler.handle(record)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORONIUM_RESULTS__DATABASE_URL", f"mysql://u:{SECRET}@h/n"),
        ("CORONIUM_RESULTS__DATABASE_URL", SECRET),
        ("CORONIUM_RESULTS__DATABASE_URL", f"postgresql://u:{SECRET}/x@h:5432/n"),
        ("CORONIUM_RESULTS__DATABASE_URL", f"postgresql://u:5432/{SECRET}@h/n"),
        ("CORONIUM_RESULTS__DATABASE_URL", DATABASE),
        ("CORONIUM_RESULTS__DATABASE_URL", f"postgresql://127.0.0.1:1/n?user=u&password={SECRET}"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_password(name: str, value: str) -> None:
    with pytest.raises(DatabaseUnavailable) as fault:
        check_schema(open_engine(value))
    assert SECRET not in str(fault.value)
    if value == DATABASE:
        with pytest.raises(DatabaseUnavailable) as fault:
            upgrade(open_engine(value))
        assert "coronium:***@127.0.0.1:1/coronium" in str(fault.value)
        assert SECRET not in str(fault.value)


@pytest.mark.parametrize("service", ["results", "ingestion"])
def test_a_service_that_cannot_start_says_nothing_of_its_passwords(service: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET)
    environment = {
        **os.environ,
        "CORONIUM_LOG_LEVEL": "debug",
        "CORONIUM_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CORONIUM_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CORONIUM_KAFKA__USERNAME": "coronium",
        "CORONIUM_KAFKA__PASSWORD_FILE": str(tmp_path / "password"),
        "CORONIUM_GRPC__PORT": "0",
        "CORONIUM_METRICS__PORT": "0",
        "CORONIUM_RESULTS__GRPC__PORT": "0",
        "CORONIUM_RESULTS__DATABASE_URL": DATABASE,
    }
    done = subprocess.run(
        [sys.executable, "-m", f"coronium.{service}"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 4, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr.strip()


def test_a_wrong_value_beside_a_secret_is_explained_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from coronium.runtime.errors import SettingsError

    monkeypatch.setenv("CORONIUM_KAFKA__PASSWORD", SECRET)
    monkeypatch.setenv("CORONIUM_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    for service in Service:
        model: type[Settings] = settings_class(service.value)
        with pytest.raises(SettingsError, match="SASL needs a username") as fault:
            model.load()
        assert SECRET not in str(fault.value)
        assert SECRET not in json.dumps(repr(fault.value.__cause__))
