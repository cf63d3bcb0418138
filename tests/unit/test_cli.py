"""The command line: help at once, sentences instead of tracebacks, exit codes that a script can trust."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coronium.cli.failures import CommandError, explain
from coronium.cli.main import app, main
from coronium.contract.conversion import spectrum_from_message
from coronium.network.files import WeightsError, read_network
from coronium.physics.readers.tabular import write_spectra
from tests.unit.spectra import good_spectrum

EXECUTABLE = Path(sys.executable).with_name("coronium")
NOBODY = "127.0.0.1:9"


def coronium(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CORONIUM_")}
    return subprocess.run(
        [str(EXECUTABLE), *arguments], env={**clean, **environment}, capture_output=True, text=True, timeout=60
    )


def test_help_has_three_panels_and_comes_without_loading_the_science():
    script = (
        "import sys, coronium.cli.main as m; print([x for x in ('numpy', 'torch', 'jax', 'grpc') if x in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
    text = CliRunner().invoke(app, ["--help"]).output
    assert [panel for panel in ("Use", "Run", "Science") if f"─ {panel} " in text] == ["Use", "Run", "Science"]
    for verb in ("publish", "watch", "results", "get", "fit", "up", "demo", "serve", "topics", "db", "config", "lag"):
        assert f" {verb} " in text
    for verb in ("simulate", "train", "atomic", "instruments"):
        assert f" {verb} " in text


def test_help_takes_less_than_half_a_second_of_processor_time():
    before = time.process_time(), os.times()
    coronium("--help")
    after = os.times()
    used = after.children_user + after.children_system - before[1].children_user - before[1].children_system
    assert used < 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["results", "--results", NOBODY], 4, "does not answer"),
        (["get", "an-id", "--results", NOBODY], 4, "does not answer"),
        (["topics", "create", "--kafka", NOBODY], 4, "no Kafka broker answers"),
        (["lag", "--kafka", NOBODY], 4, "no Kafka broker answers"),
        (["fit", "missing.h5"], 3, "no such file"),
        (["instruments", "show", "hubble"], 2, "unknown instrument"),
        (["publish"], 2, "either a FILE or --demo-data"),
        (["results", "--log-t", "7:6"], 2, "not a rising range"),
        (["serve", "coffee"], 2, "Invalid value"),
        (["prepare", "--kinds", "euve,hubble"], 2, "unknown instrument 'hubble'"),
        (["prepare", "--kinds", ","], 2, "no kind of spectrum is named"),
        (["prepare", "--kinds", "euve:isothermal:no"], 2, "'euve:isothermal:no' is not"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_an_expected_failure_is_a_sentence_and_an_exit_code(arguments: list[str], code: int, words: str):
    done = coronium(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_is_named_and_is_a_usage_error():
    done = coronium("config", "show", "fitting", CORONIUM_FITTING__DRAWSS="100")
    assert done.returncode == 2
    assert "CORONIUM_FITTING__DRAWSS is not a setting of fitting" in done.stderr
    assert "CORONIUM_FITTING__DRAWS?" in done.stderr


def test_a_file_that_cannot_be_used_is_rejected_input(tmp_path: Path):
    path = tmp_path / "spectra.h5"
    path.write_text("not HDF5")
    done = coronium("publish", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "not an HDF5 file" in done.stderr


def test_publishing_where_nobody_listens_says_so(tmp_path: Path):
    path = tmp_path / "spectra.h5"
    write_spectra(path, [spectrum_from_message(good_spectrum())])
    done = coronium("publish", str(path), "--ingestion", NOBODY)
    assert done.returncode == 4
    assert "ingestion service at 127.0.0.1:9 does not answer" in done.stderr


def test_an_unreachable_broker_or_database_is_one_sentence_and_nothing_else(tmp_path: Path):
    path = tmp_path / "spectra.h5"
    write_spectra(path, [spectrum_from_message(good_spectrum())])
    url = f"postgresql://me:secret@{NOBODY}/coronium"
    for arguments, environment, words in (
        (("publish", str(path), "--kafka", NOBODY), {"CORONIUM_CLIENT__TIMEOUT_SECONDS": "2"}, "check that the broker"),
        (("db", "upgrade"), {"CORONIUM_RESULTS__DATABASE_URL": url}, "check that it is running"),
    ):
        done = coronium(*arguments, **environment)
        assert (done.returncode, done.stdout) == (4, "")
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith("coronium: ")
        assert words in sentence
        assert "secret" not in sentence


@pytest.mark.parametrize(("content", "words"), [(None, "There is no emissivity table"), (b"junk", "cannot be read")])
def test_a_missing_or_corrupt_emissivity_table_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, content: bytes | None, words: str
):
    table = tmp_path / "emissivity.npz.xz"
    if content is not None:
        table.write_bytes(content)
    path = tmp_path / "spectra.h5"
    write_spectra(path, [spectrum_from_message(good_spectrum())])
    monkeypatch.setattr("coronium.physics.atomic.table.SHIPPED", table)
    monkeypatch.setattr(sys, "argv", ["coronium", "fit", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert words in sentence
    assert "coronium atomic build --chianti DIR" in sentence


def test_weights_that_cannot_be_used_are_one_sentence(tmp_path: Path):
    with pytest.raises(WeightsError) as missing:
        read_network("hinode-eis", tmp_path)
    sentence, code = explain(missing.value) or ("", 0)
    assert "coronium train --instrument hinode-eis" in sentence
    assert code == 1


def test_a_missing_extra_is_one_sentence_naming_the_pip_command():
    sentence, code = explain(ModuleNotFoundError("No module named 'torch'", name="torch.nn")) or ("", 0)
    assert sentence.endswith("pip install 'coronium[extraction]'")
    assert code == 1
    assert explain(ModuleNotFoundError("No module named 'coronium.typo'", name="coronium.typo")) is None


def test_our_own_mistakes_keep_their_traceback():
    assert explain(CommandError("A sentence.")) == ("A sentence.", 1)
    assert explain(ZeroDivisionError()) is None


def test_config_show_tells_value_and_origin_and_masks_secrets():
    done = coronium(
        "config",
        "show",
        "results",
        "--json",
        CORONIUM_RESULTS__DATABASE_URL="postgresql://a:secret@b/c",
        CORONIUM_LOG_LEVEL="debug",
    )
    found = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert "secret" not in done.stdout
    assert found["database_url"]["origin"] == "CORONIUM_RESULTS__DATABASE_URL"
    assert (found["log_level"]["value"], found["log_level"]["origin"]) == ("debug", "CORONIUM_LOG_LEVEL")
    assert found["grpc.port"]["origin"] == "default"


def test_the_settings_reference_names_every_setting_of_every_service(tmp_path: Path):
    assert coronium("config", "schema", "--folder", str(tmp_path)).returncode == 0
    reference = (tmp_path / "docs" / "settings.md").read_text()
    for name in ("CORONIUM_FITTING__DRAWS", "CORONIUM_GATEWAY__UPSTREAM__RESULTS", "CORONIUM_CLIENT__RESULTS_ADDRESS"):
        assert f"`{name}`" in reference
        assert f"# {name}=" in (tmp_path / ".env.example").read_text()
    assert coronium("config", "schema", "--check", "--folder", str(tmp_path)).returncode == 0
    (tmp_path / ".env.example").write_text("stale")
    stale = coronium("config", "schema", "--check", "--folder", str(tmp_path))
    assert stale.returncode == 1
    assert ".env.example" in stale.stderr


def test_the_instruments_are_listed_for_a_machine():
    done = coronium("instruments", "list", "--json")
    assert [entry["name"] for entry in json.loads(done.stdout)] == ["hinode-eis", "chandra-letg", "chandra-meg", "euve"]
    shown = json.loads(coronium("instruments", "show", "chandra-letg", "--json").stdout)
    assert all(np.isfinite(channel["fwhm"]) for channel in shown["channels"])
