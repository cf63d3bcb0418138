"""Read an HDF5 file once in a process of its own, to see that it can be read.

A file whose inner references are damaged, by accident or by design, makes libhdf5 run in circles or end the process,
and nothing in Python can stop either. So a stranger's file is read whole by a child first, which may be ended.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from coronium.contract.limits import MAX_FILE_BYTES, MEBIBYTE
from coronium.physics.readers.errors import SpectrumFormatError, check_arrays, readable
from coronium.physics.readers.hdf5_safety import open_hdf5

_SECONDS = 30.0
# What a slow disk and a slow processor still do.
_BYTES_PER_SECOND = 10 * MEBIBYTE
_REFUSED = 3


def probe(path: str | Path) -> None:
    """Return when a file can be read.

    Raises
    ------
    SpectrumFormatError
        It cannot, or takes too long.
    """
    import h5py

    path = Path(path)
    if not h5py.is_hdf5(path):
        raise SpectrumFormatError(f"{path}: not an HDF5 file")
    seconds = _SECONDS + path.stat().st_size / _BYTES_PER_SECOND
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path)], capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise SpectrumFormatError(f"{path}: damaged: reading it does not end") from None
    if done.returncode == _REFUSED:
        raise SpectrumFormatError(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        raise SpectrumFormatError(f"{path}: damaged: it breaks the library that reads HDF5")


def read_whole(path: str) -> None:
    """Read every attribute and every array of a file.

    Raises
    ------
    SpectrumFormatError
    """
    import h5py

    def read(name: str, item: h5py.Group | h5py.Dataset) -> None:
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            item[()]

    with readable(path), open_hdf5(path) as file:
        check_arrays(file, path)
        dict(file.attrs)
        file.visititems(read)


def main() -> int:
    """Read the file named on the command line; a refusal is one sentence on standard error."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        # Where the system has such limits.
        import resource

        most = 2 * MAX_FILE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        read_whole(sys.argv[1])
    except SpectrumFormatError as refusal:
        print(refusal, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
