"""`coronium tokens`: a token is shown once, its hash is kept, and nothing else is lost when the file is written."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coronium.cli.failures import CommandError
from coronium.cli.main import app
from coronium.runtime.auth import principals
from coronium.runtime.auth.principals import now
from coronium.runtime.auth.tokens import digest, from_header, masked, new_token


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "principals.json"


def tokens(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tokens", *arguments, "--file", str(file)])


def created(file: Path, *arguments: str) -> str:
    done = tokens(file, "create", *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_a_token_is_printed_once_and_stored_as_its_hash_for_its_owner_alone(file: Path) -> None:
    token = created(file, "observatory", "--scope", "read", "--scope", "submit")
    assert re.fullmatch(r"coronium_token_[A-Za-z0-9_-]{43}", token)
    assert token not in file.read_text()
    (principal,) = principals.read(file).principals
    assert (principal.name, sorted(principal.scopes)) == ("observatory", ["read", "submit"])
    assert [one.sha256 for one in principal.tokens] == [digest(token)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_token_keeps_everything_that_stands_in_the_file(file: Path) -> None:
    created(file, "observatory", "--scope", "read")
    content = json.loads(file.read_text())
    content["principals"][0] |= {"calls_per_second": 5.0, "quarantined": True}
    file.write_text(json.dumps(content))
    file.chmod(0o640)
    second = created(file, "observatory", "--days", "30")
    (principal,) = principals.read(file).principals
    assert (principal.calls_per_second, principal.quarantined, len(principal.tokens)) == (5.0, True, 2)
    assert principal.tokens[1].sha256 == digest(second)
    expires_at = principal.tokens[1].expires_at
    assert expires_at is not None
    assert timedelta(days=29) < expires_at - now() < timedelta(days=31)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_token_a_principal_and_a_quarantine_are_taken_away(file: Path) -> None:
    first, second = created(file, "observatory", "--scope", "read"), created(file, "observatory")
    assert tokens(file, "revoke", "observatory", "--token", digest(first)[:8]).exit_code == 0
    assert [one.sha256 for one in principals.read(file).principals[0].tokens] == [digest(second)]
    assert tokens(file, "quarantine", "observatory").exit_code == 0
    assert principals.read(file).principals[0].quarantined
    assert tokens(file, "quarantine", "observatory", "--release").exit_code == 0
    assert not principals.read(file).principals[0].quarantined
    assert tokens(file, "revoke", "observatory").exit_code == 0
    assert principals.read(file).principals == []


def test_a_file_that_root_changes_stays_the_services_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created(file, "observatory", "--scope", "read")
    owned: list[tuple[int, int]] = []
    service = os.stat_result((*file.stat()[:4], 10001, 10002, *file.stat()[6:]))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda *_, **__: service)
        patch.setattr(os, "fchown", lambda _, user, group: owned.append((user, group)))
        created(file, "observatory")
    assert owned == [(10001, 10002)]


def test_a_file_whose_owner_cannot_be_kept_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    created(file, "observatory", "--scope", "read")
    before = file.read_bytes()
    monkeypatch.setattr(os, "fchown", refuses)
    done = tokens(file, "revoke", "observatory")
    assert isinstance(done.exception, CommandError)
    assert "cannot be written (Operation not permitted)" in str(done.exception)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == before


def test_changes_at_the_same_time_follow_one_another(file: Path) -> None:
    created(file, "observatory", "--scope", "read")
    created(file, "station", "--scope", "submit")
    entered, left = threading.Event(), threading.Event()

    def quarantined_slowly() -> None:
        with principals.changing(file) as content:
            entered.set()
            left.wait(1.0)
            principal = content.named("station")
            assert principal is not None
            principal.quarantined = True

    slow = threading.Thread(target=quarantined_slowly)
    slow.start()
    entered.wait(10.0)
    assert tokens(file, "revoke", "observatory").exit_code == 0
    slow.join()
    assert [(one.name, one.quarantined) for one in principals.read(file).principals] == [("station", True)]


def test_the_list_shows_neither_tokens_nor_hashes(file: Path) -> None:
    token = created(file, "observatory", "--scope", "control")
    for output in (tokens(file, "list").output, tokens(file, "list", "--json").output):
        assert "observatory" in output
        assert "control" in output
        assert digest(token)[:8] in output
        assert digest(token) not in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "observatory", "--scope", "control"], "has the scopes read"),
        (["revoke", "nobody"], "there is no principal nobody"),
        (["revoke", "observatory", "--token", "00000000"], "has no token 00000000"),
        (["quarantine", "nobody"], "there is no principal nobody"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(file: Path, arguments: list[str], words: str) -> None:
    created(file, "observatory", "--scope", "read")
    before = file.read_bytes()
    done = tokens(file, *arguments)
    assert isinstance(done.exception, CommandError)
    assert words in str(done.exception)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["create", "observatory"], ["create", "a b", "--scope", "read"], ["create", "a", "--scope", "all"]]
)
def test_wrong_usage_is_exit_code_2_and_makes_no_file(file: Path, arguments: list[str]) -> None:
    assert tokens(file, *arguments).exit_code == 2
    assert not file.exists()


def test_a_header_holds_a_token_of_ours_or_none() -> None:
    token = new_token()
    assert from_header(f"Bearer {token}") == from_header(f"bearer  {token} ") == token
    for header in ("", token, f"Basic {token}", f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer"):
        assert from_header(header) is None
    for space in ("\x85", "\xa0", "\x1c", "\u2003"):
        assert from_header(f"Bearer {token}{space}") is None
        assert from_header(f"Bearer {space}{token}") is None


def test_tokens_are_masked_wherever_they_stand_in_a_text() -> None:
    token = new_token()
    assert masked(f"x {token}, {token}") == "x coronium_token_********, coronium_token_********"
    assert masked("coronium_grpc_requests_total") == "coronium_grpc_requests_total"
