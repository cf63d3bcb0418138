"""What commands print: rich for people, JSON lines for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Return the console for what was asked for (standard output)."""
    from rich.console import Console

    return Console(highlight=False)


def messages() -> Console:
    """Return the console for how it goes (standard error), so that a pipe gets answers alone."""
    from rich.console import Console

    return Console(highlight=False, stderr=True)


def write_json(value: Mapping[str, Any] | list[Any]) -> None:
    """Write one JSON value on one line."""
    json.dump(value, sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()
