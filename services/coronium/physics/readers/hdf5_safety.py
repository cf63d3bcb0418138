"""An HDF5 file is opened only when it is a tree that is self-contained: it names no other file, asks for no code of
others, and nothing in it has two names.

HDF5 lets a file point at data in other files of the machine (external links, external storage, virtual datasets) and
name filters that the library then loads from a plugin folder. Links inside a file let a small one show the same array
under any number of names, each of which is read and kept. A spectrum needs none of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coronium.physics.readers.errors import SpectrumFormatError

BUILT_IN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
"""deflate, shuffle, fletcher32, szip, nbit, scaleoffset, and lzf, which h5py brings: none loads a plugin."""


def open_hdf5(path: str | Path) -> Any:
    """Open an HDF5 file for reading.

    Returns
    -------
    h5py.File

    Raises
    ------
    SpectrumFormatError
        The file is absent, is not HDF5, or is not self-contained.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise SpectrumFormatError(f"{path}: no such file") from None
    except OSError:
        raise SpectrumFormatError(f"{path}: not an HDF5 file") from None
    try:
        # Both walks end at the first fault; h5py cannot pass on an exception from inside.
        fault = file.visititems_links(_unwanted_link) or file.visititems(_unwanted_item)
    except (OSError, RuntimeError, SystemError, TypeError, ValueError, KeyError) as error:
        fault = f"is damaged ({error})"
    if fault:
        file.close()
        raise SpectrumFormatError(f"{path}: {fault}")
    return file


def _unwanted_link(name: str, link: Any) -> str | None:
    import h5py

    if isinstance(link, h5py.HardLink):
        return None
    if isinstance(link, h5py.SoftLink):
        return f"{name!r} is a link; give a file in which everything has one name"
    return f"{name!r} links to another file; give a file that holds its own data"


def _unwanted_item(name: str, item: Any) -> str | None:
    import h5py

    if h5py.h5o.get_info(item.id).rc > 1:
        return f"{name!r} has another name too; give a file in which everything has one name"
    if not isinstance(item, h5py.Dataset):
        return None
    if item.external or item.is_virtual:
        return f"{name!r} lies in another file; give a file that holds its own data"
    creation = item.id.get_create_plist()
    numbers = {creation.get_filter(index)[0] for index in range(creation.get_nfilters())}
    if foreign := sorted(numbers - BUILT_IN_FILTERS):
        return f"{name!r} needs the HDF5 filter {foreign[0]}; write it with gzip or none"
    return None
