"""Print the part of requirements.lock that one target needs, for `pip install --require-hashes --no-deps`.

    python scripts/locked.py TARGET

TARGET is `base` (the light client) or an extra of pyproject.toml that the lock was made for, both without PyTorch;
`torch` (PyPI's PyTorch) or `torch-cpu` (that of PyTorch's own index, without CUDA); `cuda` (what PyPI's for Linux needs
beside it); or `build` (pip, and what builds the packages that come as source). Needs nothing but Python's own library:
it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"

_TARGETS = "# for: "


@dataclass(frozen=True)
class Entry:
    """One pinned package of the lock.

    Attributes
    ----------
    name, version : str
        The name as PyPI normalises it.
    targets : tuple of str
        What the package is needed for.
    hashes : tuple of str
        SHA-256 of every file that may be installed for it.
    text : str
        The lines of the requirements file, with the newline at their end.
    """

    name: str
    version: str
    targets: tuple[str, ...]
    hashes: tuple[str, ...]
    text: str


def entries(content: str) -> list[Entry]:
    """Return the entries of a lock, in its order.

    Raises
    ------
    ValueError
        An entry does not say what it is for, or is not pinned with hashes.
    """
    found = []
    for block in content.split(_TARGETS)[1:]:
        targets, _, text = block.partition("\n")
        pinned = re.match(r"([a-z0-9-]+)==([^\s;\\]+)", text)
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", text))
        if pinned is None or not targets.split() or not hashes:
            raise ValueError(f"requirements.lock: not a pinned entry with targets and hashes: {text[:80]!r}")
        found.append(Entry(pinned[1], pinned[2], tuple(targets.split()), hashes, text))
    return found


def main(arguments: list[str]) -> int:
    """Print one target's requirements; 2 when there are none."""
    if len(arguments) != 1:
        print("usage: python scripts/locked.py TARGET", file=sys.stderr)
        return 2
    chosen = [entry for entry in entries(LOCK.read_text(encoding="utf-8")) if arguments[0] in entry.targets]
    if not chosen:
        print(f"requirements.lock holds nothing for {arguments[0]!r}", file=sys.stderr)
        return 2
    sys.stdout.write("".join(entry.text for entry in chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
