"""What is installed is what was locked, is compared with known vulnerabilities, and may be distributed."""

from __future__ import annotations

import json
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import audit  # noqa: E402
import licences  # noqa: E402
import lock  # noqa: E402
import locked  # noqa: E402

LOCK = (ROOT / "requirements.lock").read_text()
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


@pytest.fixture
def project() -> dict[str, Any]:
    """The project's own metadata, free to be changed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_project_constraints_and_lock_agree(project: dict[str, Any]) -> None:
    assert lock.drift(project, CONSTRAINTS, LOCK) == []


def test_every_locked_package_has_a_version_and_hashes_and_a_purpose() -> None:
    found = locked.entries(LOCK)
    assert len(found) > 200
    assert len(found) == LOCK.count("==") - LOCK.count(" == ") - LOCK.count("'=='")
    assert {"base", "all", "dev", "build", "torch", "torch-cpu", "cuda"} <= {t for e in found for t in e.targets}


@pytest.mark.parametrize(
    "block", ["numpy>=2 \\\n    --hash=sha256:" + "a" * 64, "numpy==2.2.6\n", "numpy==2.2.6 \\\n    --hash=md5:00\n"]
)
def test_an_entry_without_a_version_or_a_hash_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match="not a pinned entry"):
        locked.entries(f"# for: base\n{block}")


def test_a_new_dependency_that_is_not_locked_is_drift(project: dict[str, Any]) -> None:
    project["project"]["dependencies"].append("leftpad>=1")
    faults = lock.drift(project, CONSTRAINTS, LOCK)
    assert "[base] leftpad>=1 is not locked" in faults
    assert any("changed after the lock was made" in fault for fault in faults)


def test_a_requirement_that_the_locked_version_does_not_meet_is_drift(project: dict[str, Any]) -> None:
    project["project"]["optional-dependencies"]["results"].append("sqlalchemy>=99")
    assert any("sqlalchemy>=99 is locked at" in fault for fault in lock.drift(project, CONSTRAINTS, LOCK))


def test_another_version_in_the_constraints_is_drift(project: dict[str, Any]) -> None:
    version = next(entry.version for entry in locked.entries(LOCK) if entry.name == "numpy")
    changed = CONSTRAINTS.replace(f"numpy=={version}\n", "numpy==0.1\n")
    assert lock.drift(project, changed, LOCK) == [f"numpy is 0.1 in constraints.txt and {version} in the lock"]


def test_another_hash_of_pytorchs_cpu_build_is_drift(project: dict[str, Any]) -> None:
    (build,) = [entry for entry in locked.entries(LOCK) if "torch-cpu" in entry.targets]
    changed = LOCK.replace(build.hashes[0], "0" * 64)
    assert any("torch-cpu in the lock" in fault for fault in lock.drift(project, CONSTRAINTS, changed))


def advisory(name: str, **affected: Any) -> dict[str, Any]:
    return {
        "id": "PYSEC-1",
        "summary": "bad",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **affected}],
    }


def span(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "version", "expected"),
    [
        ({"versions": ["1.0", "1.1"]}, "1.1", True),
        ({"versions": ["1.0", "1.1"]}, "1.2", False),
        (span({"introduced": "0"}, {"fixed": "1.2"}), "1.1", True),
        (span({"introduced": "0"}, {"fixed": "1.2"}), "1.2", False),
        (span({"introduced": "0"}, {"last_affected": "1.2"}), "1.2", True),
        (span({"introduced": "0"}, {"last_affected": "1.2"}), "1.10", False),
        (span({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}), "2.1", True),
        (span({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}), "1.5", False),
    ],
)
def test_an_advisory_is_about_the_versions_it_names(affected: dict[str, Any], version: str, expected: bool) -> None:
    assert audit.affects(advisory("Some_Package", **affected), "some-package", version) is expected
    assert not audit.affects(advisory("other", **affected), "some-package", version)
    assert not audit.affects(
        {**advisory("some-package", **affected), "withdrawn": "2026-01-01"}, "some-package", version
    )


@pytest.mark.parametrize("as_archive", [False, True])
def test_the_audit_works_offline_from_a_downloaded_data_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_archive: bool
) -> None:
    folder = tmp_path / "osv"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(advisory("leftpad", **span({"introduced": "0"}))))
    database = tmp_path / "all.zip" if as_archive else folder

    def run() -> int:
        if as_archive:
            with zipfile.ZipFile(database, "w") as archive:
                for path in folder.iterdir():
                    archive.write(path, path.name)
        return audit.main()

    monkeypatch.setenv("AUDIT_DATABASE", str(database))
    monkeypatch.setenv("AUDIT_REQUIRED", "1")
    assert run() == 0
    (folder / "b.json").write_text(json.dumps(advisory("NumPy", **span({"introduced": "0"}))))
    assert run() == 1
    assert "VULNERABLE numpy" in capsys.readouterr().out


def test_an_audit_that_cannot_look_says_so_and_fails_only_when_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_DATABASE", str(tmp_path / "absent.zip"))
    monkeypatch.delenv("AUDIT_REQUIRED", raising=False)
    assert audit.main() == 0
    said = capsys.readouterr().out
    assert "Audit skipped" in said
    assert "No known vulnerability" not in said
    monkeypatch.setenv("AUDIT_REQUIRED", "1")
    assert audit.main() == 1


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("LGPL-3.0-only", True),
        ("AGPL-3.0-only", False),
        ("unknown", False),
    ],
)
def test_a_licence_is_allowed_at_runtime_or_not(licence: str, expected: bool) -> None:
    assert licences.allowed(licence) is expected


def test_the_page_names_every_locked_package() -> None:
    text = (ROOT / "docs" / "licences.md").read_text()
    for entry in locked.entries(LOCK):
        assert f"[{entry.name}](" in text or "cuda" in entry.targets or f" {entry.version} " in text, entry.name
