"""Look for known vulnerabilities in what requirements.lock installs.

    python scripts/audit.py                        asks PyPI, through pip-audit
    AUDIT_DATABASE=FOLDER_OR_ZIP python ...        offline: OSV records, such as PyPI/all.zip of osv.dev's data dump

Exit code 1 when a vulnerability is found. What could not be looked up is said; that fails only with AUDIT_REQUIRED=1,
so that a machine without internet can run every other check.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locked import LOCK, Entry, entries
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

SECONDS = 300


def locked() -> list[Entry]:
    """Return every locked package once; PyTorch's CPU build has the advisories of the version."""
    return [entry for entry in entries(LOCK.read_text(encoding="utf-8")) if "torch-cpu" not in entry.targets]


def records(database: Path) -> Iterator[dict[str, Any]]:
    """Read the OSV records of a folder or a zip archive."""
    if database.is_dir():
        for path in sorted(database.rglob("*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))
    else:
        with zipfile.ZipFile(database) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield json.loads(archive.read(name))


def affects(record: dict[str, Any], name: str, version: str) -> bool:
    """Whether an OSV record is about that version of a package, and stands."""
    if record.get("withdrawn"):
        return False
    for affected in record.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonicalize_name(package.get("name", "")) != name:
            continue
        if version in affected.get("versions", []):
            return True
        ranges = (part for part in affected.get("ranges", []) if part.get("type") == "ECOSYSTEM")
        if any(_within(part.get("events", []), Version(version)) for part in ranges):
            return True
    return False


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """OSV's rule: the last event at or below the version says whether it is affected."""
    inside = False
    steps = [(kind, value) for event in events for kind, value in event.items() if kind != "limit"]
    for kind, value in sorted(steps, key=lambda step: _parsed(step[1])):
        at = _parsed(value)
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _parsed(value: str) -> Version:
    try:
        return Version(value)
    except InvalidVersion:
        return Version("0")


def offline(database: Path) -> tuple[list[str], str]:
    """Return the findings by a downloaded data base, and why nothing could be looked up ("" when it could)."""
    pins = {entry.name: entry.version for entry in locked()}
    found, count = [], 0
    try:
        for record in records(database):
            count += 1
            names = {canonicalize_name(a.get("package", {}).get("name", "")) for a in record.get("affected", [])}
            for name in sorted(names & pins.keys()):
                if affects(record, name, pins[name]):
                    found.append(f"{name} {pins[name]}: {record['id']} {record.get('summary', '')}".strip())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        return found, f"the data base {database} cannot be read ({error})"
    print(f"Compared {len(pins)} packages with {count} advisories of {database}.")
    return sorted(found), "" if count else f"the data base {database} holds no advisory"


def online() -> tuple[list[str], str]:
    """Return the findings of pip-audit, and why nothing, or not everything, could be looked up."""
    pins = locked()
    try:
        # An index without advisories answers "not found": one question shows it.
        if _skipped(_ask(pins[:1])):
            return [], "the index here has no advisories"
        answers = _ask(pins)
    except subprocess.TimeoutExpired:
        return [], f"PyPI did not answer within {SECONDS} s"
    except ValueError as error:
        return [], f"pip-audit could not ask PyPI ({error})"
    found = [
        f"{one['name']} {one['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'nothing yet'}"
        for one in answers
        for fault in one.get("vulns", [])
    ]
    skipped = _skipped(answers)
    print(f"Asked about {len(pins)} packages; answered: {len(answers) - skipped}.")
    return found, f"PyPI has no answer for {skipped} of {len(pins)} packages" if skipped else ""


def _ask(pins: list[Entry]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("".join(f"{entry.name}=={entry.version}\n" for entry in pins), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise ValueError((done.stderr.strip().splitlines() or ["it printed nothing"])[-1]) from None
    return answers


def _skipped(answers: list[dict[str, Any]]) -> int:
    return sum("skip_reason" in one for one in answers)


def main() -> int:
    """Audit, and say what was found or could not be."""
    database = os.environ.get("AUDIT_DATABASE")
    found, gap = offline(Path(database)) if database else online()
    for sentence in found:
        print(f"VULNERABLE {sentence}")
    if gap:
        print(
            f"Audit skipped where it could not look: {gap}. With internet run `make audit`; without, set "
            "AUDIT_DATABASE to a downloaded data dump of osv.dev for PyPI. AUDIT_REQUIRED=1 makes this a failure."
        )
    elif not found:
        print("No known vulnerability.")
    return 1 if found or (gap and os.environ.get("AUDIT_REQUIRED") == "1") else 0


if __name__ == "__main__":
    sys.exit(main())
