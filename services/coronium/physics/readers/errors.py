"""What a reader raises on a file that it cannot use, and what it looks at before it opens one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coronium.contract.limits import MAX_FILE_BYTES, MEBIBYTE

GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"\x1f\x9d": "compress"}


# FITS Standard 4.0, section 7.3.1.
_MOST_COLUMNS = 999


class SpectrumFormatError(ValueError):
    """A spectrum file that cannot be used; the message says in one sentence why, and what would help."""


@contextmanager
def readable(path: str | Path, refusal: type[ValueError] = SpectrumFormatError) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one sentence.

    A file is somebody else's, and no library promises what it raises on one that is not what it says it is.

    Parameters
    ----------
    path : path
        For the sentence.
    refusal : type of ValueError
        What is raised; made of the sentence.
    """
    try:
        yield
    except refusal:
        raise
    except ImportError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise refusal(f"{path}: no such file") from None
    except PermissionError:
        raise refusal(f"{path}: may not be read") from None
    except MemoryError:
        raise refusal(f"{path}: asks for more memory than there is; it is damaged, or needs to be cut") from None
    except Exception as error:
        cause = (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
        raise refusal(f"{path}: damaged, or not what its name says ({cause})") from error


def check_file(path: str | Path, limit: int = MAX_FILE_BYTES, refusal: type[ValueError] = SpectrumFormatError) -> None:
    """Refuse a file that is, or unpacks to, more than a limit, and packers that no reader here unpacks within one.

    Libraries look at the first bytes of a file and not at its name, and unpack whatever they find.

    Raises
    ------
    refusal
    """
    if Path(path).stat().st_size > limit:
        raise refusal(f"{path}: has more than {limit // MEBIBYTE} MiB; cut it into several files")
    with open(path, "rb") as file:
        first = file.read(8)
    for magic, packer in _OTHER_PACKERS.items():
        if first.startswith(magic):
            raise refusal(f"{path}: is packed by {packer}; unpack it first")
    if not first.startswith(GZIP):
        return
    size = 0
    try:
        with gzip.open(path) as packed:
            while part := packed.read(MEBIBYTE):
                size += len(part)
                if size > limit:
                    raise refusal(f"{path}: unpacks to more than {limit // MEBIBYTE} MiB; cut it into several files")
    except (OSError, EOFError, zlib.error) as error:
        raise refusal(f"{path}: cannot be unpacked ({error})") from None


def table_of(hdu: Any, path: str | Path, refusal: type[ValueError] = SpectrumFormatError) -> Any:
    """Return the table of an extension of a FITS file.

    Parameters
    ----------
    hdu : astropy.io.fits extension
    path : path
        For the sentence.
    refusal : type of ValueError

    Raises
    ------
    refusal
        There is no table, or its header counts more columns than FITS allows, which astropy would try to list.
    """
    if not 0 < int(hdu.header.get("TFIELDS", 0)) <= _MOST_COLUMNS:
        raise refusal(f"{path}: its extension {hdu.name} is no table of at most {_MOST_COLUMNS} columns")
    return hdu.data


def check_arrays(file: Any, path: str | Path) -> None:
    """Refuse an HDF5 file whose arrays, stored or only declared, take more than `MAX_FILE_BYTES`.

    An array of any size takes no room in a file while nothing was written to it.

    Parameters
    ----------
    file : h5py.File
    path : path
        For the sentence.

    Raises
    ------
    SpectrumFormatError
    """
    size = 0

    def add(name: str, item: Any) -> None:
        nonlocal size
        if not hasattr(item, "dtype"):
            return
        chunk = 1
        for length in item.chunks or ():
            chunk *= length
        # A text takes a place for itself and one in the list.
        size += max(item.size or 0, chunk) * max(item.dtype.itemsize, 64 if item.dtype.kind == "O" else 1)
        if size > MAX_FILE_BYTES:
            raise SpectrumFormatError(
                f"{path}: its arrays take more than {MAX_FILE_BYTES // MEBIBYTE} MiB; cut it into several files"
            )

    file.visititems(add)
