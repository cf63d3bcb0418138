"""Where the tests find the original data sets, and what a missing one means."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_path(*parts: str) -> Path:
    """Return a path inside the shared data; skip when absent, fail when `CORONIUM_REQUIRE` names it."""
    root = Path(os.environ.get("CORONIUM_SHARED", REPOSITORY.parent / "shared"))
    path = root.joinpath(*parts)
    if not path.exists():
        reason = f"needs {'/'.join(parts)} of the shared data; set CORONIUM_SHARED"
        if "shared" in os.environ.get("CORONIUM_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
