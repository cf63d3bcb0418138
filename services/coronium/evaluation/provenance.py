"""The line under every table and picture in the docs: when, from which commit and on what it was made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime


def commit() -> str:
    """The commit of the checkout that the command runs in, `-dirty` where files differ from it."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "an installed package"


def made_by() -> str:
    """One sentence: date, commit, cores and versions."""
    return (
        f"Made on {datetime.now(UTC):%Y-%m-%d} at commit {commit()}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}."
    )
