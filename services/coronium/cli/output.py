"""What commands print: rich for people, JSON lines for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


_WIDTH_OF_FILES = 140
"""Columns where the output is no terminal, so that tables in logs and pipes stay one line a row."""


def console() -> Console:
    """Return the console for what was asked for (standard output).

    Brackets are brackets: users name their spectra as they like.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)


def report(console: Console) -> Callable[[str], None]:
    """Return a function that prints a sentence as it is, brackets too."""
    return lambda sentence: console.print(sentence, markup=False)


def messages() -> Console:
    """Return the console for how it goes (standard error), so that a pipe gets answers alone."""
    from rich.console import Console

    return Console(highlight=False, stderr=True)


def write_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Write one JSON value on one line."""
    json.dump(value, sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()
