"""How far the memory of this process rises while something runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SELF = Path("/proc/self")


@dataclass
class Rise:
    """Highest resident memory of a process above where it began, in bytes; known when the block has ended."""

    size: int = 0


@contextmanager
def rise() -> Iterator[Rise]:
    """Measure the peak of a block, whatever the process used before; skips where the kernel does not tell it."""
    try:
        # Sets the high-water mark back to what is resident now.
        (_SELF / "clear_refs").write_text("5")
    except OSError:
        pytest.skip("needs Linux's high-water mark of one process")
    before = _kibibytes("VmRSS")
    found = Rise()
    yield found
    found.size = 1024 * (_kibibytes("VmHWM") - before)


def _kibibytes(name: str) -> int:
    lines = (_SELF / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
