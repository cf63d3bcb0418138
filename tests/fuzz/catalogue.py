"""All targets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz import batches, commands, decoders, doors, files, rasters
from tests.fuzz.target import Target


@contextmanager
def all_targets() -> Iterator[list[Target]]:
    """Make all targets; what they need lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="coronium-fuzz-") as name, doors.services(Path(name)) as running:
        yield [
            *decoders.targets(),
            *batches.targets(),
            *files.targets(Path(name)),
            *rasters.targets(Path(name)),
            *doors.targets(running),
            *commands.targets(Path(name), f"127.0.0.1:{running.port}"),
        ]
