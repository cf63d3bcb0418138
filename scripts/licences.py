"""The licences of everything in requirements.lock, read from what is installed: the tables of docs/licences.md.

    python scripts/licences.py            write the page
    python scripts/licences.py --check    compare it; fails where a runtime dependency may not be distributed

A licence is, in this order: the SPDX expression of the package's metadata; its licence field where that is an SPDX
identifier or a known spelling of one; the wording of its licence file; its classifier.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import NamedTuple

from locked import LOCK, ROOT, Entry, entries

PAGE = ROOT / "docs" / "licences.md"

PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "LicenseRef-Repoze"),
    *("MIT", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
}
WEAK_COPYLEFT = {"LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}
"""Used unmodified, as separate packages that a user can replace: that is all these ask for."""

_SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "revised bsd license": "BSD-3-Clause",
    "bsd-derived (repoze)": "LicenseRef-Repoze",
    "isc license": "ISC",
    "mit license": "MIT",
    "psfl": "PSF-2.0",
    "gpl-3.0": "GPL-3.0-only",
}
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_SERVICES = {"base", "ingestion", "extraction", "fitting", "results", "gateway", "all", "torch"}

_MARK = "<!-- From here on written by `make licences`, from the metadata of what requirements.lock installs. -->\n"


class Row(NamedTuple):
    """One package of the page."""

    name: str
    version: str
    licence: str
    url: str

    def markdown(self) -> str:
        """Return the row of the table."""
        return f"| [{self.name}]({self.url}) | {self.version} | {self.licence} |"


def licence_of(package: importlib.metadata.Distribution) -> str:
    """Return the licence of an installed package, as SPDX where it can be told; "unknown" otherwise."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    field = " ".join((metadata.get("License") or "").split())
    if spelt := _SPELLINGS.get(field.lower()):
        return spelt
    if _IDENTIFIER.fullmatch(field) and field in PERMISSIVE | WEAK_COPYLEFT | {"MPL-2.0 AND MIT"}:
        return field
    texts = [field, *(file.read_text() for file in package.files or [] if _is_licence(str(file)))]
    for text in texts:
        if found := _from_wording(text):
            return found
    names = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License")]
    classified = [_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS]
    return classified[0] if classified else "unknown"


def _is_licence(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return ".dist-info" in folder and re.search(r"licen[cs]e|copying", name, re.IGNORECASE) is not None


def _from_wording(text: str) -> str | None:
    words = " ".join(text.split())
    if "Redistribution and use in source and binary forms" in words:
        return "BSD-3-Clause" if re.search(r"[Nn]either the name|endorse or promote", words) else "BSD-2-Clause"
    if "Permission is hereby granted, free of charge" in words:
        return "MIT"
    if "Apache License" in words and "Version 2.0" in words:
        return "Apache-2.0"
    return "PSF-2.0" if "PSF" in words or "Python Software Foundation" in words else None


def allowed(licence: str) -> bool:
    """Whether a licence may be among the runtime dependencies: every part of an AND, one of an OR."""
    known = PERMISSIVE | WEAK_COPYLEFT
    return all(
        any(one.partition(" WITH ")[0].strip("() ") in known for one in part.split(" OR "))
        for part in re.split(r" AND ", licence)
    )


def row_of(entry: Entry, present: str) -> Row | None:
    """Return the row of a locked package; None where this Python does not need it and the page has no row."""
    try:
        package = importlib.metadata.distribution(entry.name)
    except importlib.metadata.PackageNotFoundError:
        # Another Python or system needs it: its row stays as it was.
        found = re.search(rf"^\| \[{re.escape(entry.name)}\]\((\S*)\) \| \S+ \| (.*) \|$", present, re.MULTILINE)
        if found and " ; " in entry.text:
            return Row(entry.name, entry.version, found[2], found[1])
        sys.exit(f"{entry.name} of requirements.lock is not installed: make install-dev")
    urls = [line.partition(", ") for line in package.metadata.get_all("Project-URL", [])]
    labelled = {label.lower(): url for label, _, url in urls}
    wanted = ("homepage", "home", "home page", "repository", "source", "source code", "github")
    url = package.metadata.get("Home-page") or next((labelled[w] for w in wanted if w in labelled), None)
    return Row(entry.name, entry.version, licence_of(package), url or f"https://pypi.org/project/{entry.name}/")


def page(present: str) -> tuple[str, list[str]]:
    """Return the page, and a sentence for each runtime dependency whose licence is not allowed."""
    locked = [entry for entry in entries(LOCK.read_text(encoding="utf-8")) if "torch-cpu" not in entry.targets]
    tables, faults = [], []
    for title, at_runtime in (("What the services and the client need", True), ("Tools of development", False)):
        chosen = [
            entry
            for entry in locked
            if "cuda" not in entry.targets and bool(_SERVICES & set(entry.targets)) is at_runtime
        ]
        rows = [row for entry in chosen if (row := row_of(entry, present))]
        table = "\n".join(row.markdown() for row in rows)
        tables.append(f"## {title}\n\n| package | version | licence |\n|---|---|---|\n{table}\n")
        if at_runtime:
            faults = [f"{row.name}: {row.licence}" for row in rows if not allowed(row.licence)]
    return present.partition(_MARK)[0] + _MARK + "\n" + "\n".join(tables), faults


def main(arguments: list[str]) -> int:
    """Write or compare the page."""
    present = PAGE.read_text(encoding="utf-8")
    text, faults = page(present)
    for fault in faults:
        print(f"This licence may not be among the runtime dependencies, or cannot be told: {fault}", file=sys.stderr)
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif text != present:
        print("docs/licences.md is not what is installed: make licences", file=sys.stderr)
        return 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
