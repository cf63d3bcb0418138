"""A user's own spectrum, whatever it is stored as: what `coronium publish FILE` and `coronium fit FILE` call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coronium.physics.readers.errors import SpectrumFormatError, check_file, readable
from coronium.physics.readers.hdf5 import read_hdf5, read_truths
from coronium.physics.readers.hdf5_probe import probe
from coronium.physics.readers.hdf5_writer import write_spectra
from coronium.physics.readers.pha import read_pha
from coronium.physics.readers.table import read_table
from coronium.physics.spectrum import Spectrum

__all__ = ["SpectrumFormatError", "read_spectra", "read_truths", "write_spectra"]

FITS_ENDINGS = (".fits", ".fit", ".pha", ".pi", ".pha2", ".fits.gz", ".pha.gz", ".pha2.gz")
HDF5_ENDINGS = (".h5", ".hdf5")
TABLE_ENDINGS = (".csv", ".ecsv")


def read_spectra(path: str | Path, instrument: str | None = None, target: str = "", **options: Any) -> list[Spectrum]:
    """Read every spectrum of a file; its ending says what it is.

    ============================  =====================================================================
    `.h5`, `.hdf5`                Coronium's own format, as the simulator writes it
    `.data.h5`                    a Hinode/EIS raster (level 1), as macropixels
    `.fits`, `.pha`, `.pi`, ...   OGIP PHA, type I or II
    `.csv`, `.ecsv`               a table with named columns
    ============================  =====================================================================

    Parameters
    ----------
    path : path
    instrument : str, optional
        Needed for PHA files and tables, which do not say it in words that Coronium knows.
    target : str
        Overrides the file's own name of the target; for rasters, the region.
    **options
        Passed on: `macropixel` for rasters, `arf`, `rmf`, `background`, `orders` and `distance_pc` for PHA
        files, `exposure_seconds` and `distance_pc` for tables.

    Raises
    ------
    SpectrumFormatError
        When the file cannot be used; one sentence says why.
    """
    name = Path(path).name.lower()
    with readable(path):
        if not Path(path).is_file():
            raise SpectrumFormatError(f"{path}: no such file")
    if name.endswith((".data.h5", ".head.h5")):
        from coronium.physics.readers.eis import read_raster

        return read_raster(path, region=target, **options)
    if name.endswith(HDF5_ENDINGS):
        check_file(path)
        probe(path)
        return read_hdf5(path)
    if not name.endswith(FITS_ENDINGS + TABLE_ENDINGS):
        endings = ", ".join((*HDF5_ENDINGS, *FITS_ENDINGS, *TABLE_ENDINGS))
        raise SpectrumFormatError(f"{path}: unknown kind of file; known endings are {endings}")
    if instrument is None:
        raise SpectrumFormatError(f"{path}: name the instrument; the file does not say it")
    if name.endswith(FITS_ENDINGS):
        return [read_pha(path, instrument, target, **options)]
    return [read_table(path, instrument, target, **options)]
