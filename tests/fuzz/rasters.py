"""EIS rasters, pairs of HDF5 files that eispac reads: the one that it ships, saying something else."""

from __future__ import annotations

import random
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import h5py

from coronium.physics.readers.eis import SAMPLE, read_raster
from tests.fuzz.files import changed, judged
from tests.fuzz.mutators import mutated_bytes
from tests.fuzz.target import Target

MACROPIXEL = (60, 20)
"""Few and large: the file is what is tried."""


def targets(folder: Path) -> list[Target]:
    """Return the target of this file; rasters are written into the folder."""
    with as_file(files("eispac") / "data" / "test") as shipped:
        pair = [Path(shutil.copy(shipped / f"{SAMPLE}.{part}.h5", folder)) for part in ("data", "head")]
    sound = [path.read_bytes() for path in pair]

    def run(data: bytes) -> str:
        # An input is what to change, not four megabytes that have been changed.
        chosen = random.Random(data)
        for path, content in zip(pair, sound, strict=True):
            path.write_bytes(content)
        if data:
            _change(chosen, chosen.choice(pair))
        return judged(lambda: read_raster(pair[0], macropixel=MACROPIXEL))

    # Each file is read by a process of its own first, which may take its time.
    return [Target("eis-raster", run, lambda drawn: drawn.randbytes(8), [b""], 10, seconds=90.0)]


def _change(random: random.Random, path: Path) -> None:
    if random.random() < 0.25:
        path.write_bytes(mutated_bytes(random, path.read_bytes(), []))
        return
    with h5py.File(path, "a") as file:
        changed(random, file)
