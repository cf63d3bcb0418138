"""The readers of files: what users have on their disks, damaged or made to do harm."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from astropy.table import Table

from coronium.client.errors import SpectrumRejected
from coronium.client.publishing import as_message
from coronium.contract.conversion import spectrum_from_message
from coronium.physics.instruments import get_instrument
from coronium.physics.instruments.ogip import ResponseFormatError, instrument_from_ogip
from coronium.physics.readers.errors import SpectrumFormatError
from coronium.physics.readers.hdf5 import read_hdf5
from coronium.physics.readers.tabular import read_spectra, write_spectra
from coronium.physics.spectrum import Spectrum
from tests.fuzz import seeds
from tests.fuzz.mutators import mutated_bytes
from tests.fuzz.target import PASSED, REFUSED, Target

MEG = "chandra-meg"


def targets(folder: Path) -> list[Target]:
    """Return all targets of this file; inputs are written into the folder."""
    return [
        _of(folder / "table.csv", csv, 1_000),
        _of(folder / "table.ecsv", ecsv, 250),
        _of(folder / "type1.pha", type_one, 400),
        _of(folder / "type2.pha2", type_two, 300),
        _of(folder / "packed.fits.gz", packed, 150),
        Target("response", _response(folder / "any.arf"), _drawing(response), [response()], 250),
        # Each is read by a process of its own first, which may take its time.
        replace(_of(folder / "spectra.h5", hdf5, 6), seconds=60.0),
        Target("hdf5-contents", _reading(folder / "other.h5", read_hdf5), _draw_contents, [hdf5()], 250),
    ]


def _of(path: Path, seed: Callable[[], bytes], weight: int) -> Target:
    run = _reading(path, lambda file: read_spectra(file, MEG))
    return Target(f"file-{path.name}", run, _drawing(seed), [seed()], weight)


def _reading(path: Path, read: Callable[[Path], list[Spectrum]]) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        path.write_bytes(data)
        return judged(lambda: read(path))

    return run


def judged(read: Callable[[], list[Spectrum]]) -> str:
    """Read spectra as who publishes them does, and say whether they were used; a refusal must be one sentence."""
    try:
        for spectrum in read():
            as_message(spectrum)
    except (SpectrumFormatError, SpectrumRejected) as refusal:
        if "\n" in str(refusal) or not str(refusal).strip():
            raise AssertionError(f"not one sentence: {refusal!r}") from None
        return REFUSED
    return PASSED


def _draw_contents(random: random.Random) -> bytes:
    """Return a sound HDF5 file that says something else than a file of spectra should."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spectra.h5"
        path.write_bytes(hdf5())
        with h5py.File(path, "a") as file:
            changed(random, file)
        return path.read_bytes()


def changed(random: random.Random, file: h5py.File) -> None:
    """Change some of what an HDF5 file says."""
    places: list[str] = []
    file.visit(places.append)
    for _ in range(random.choice((1, 1, 2, 4))):
        # What HDF5 cannot hold is not said.
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            _change(random, file, random.choice(places))


def _change(random: random.Random, file: h5py.File, place: str) -> None:
    if place not in file:
        return
    item = file[place]
    match random.randrange(5):
        case 0:
            del file[place]
        case 1:
            attributes = list(file.attrs) if random.random() < 0.3 else list(item.attrs)
            owner = item if attributes and attributes[0] in item.attrs else file
            if attributes:
                owner.attrs[random.choice(attributes)] = random.choice(_SETTINGS)
        case 2 if isinstance(item, h5py.Dataset):
            del file[place]
            shape = random.choice(((), (0,), (3,), (2, 2), (10**12,), (1, 1, 4)))
            file.create_dataset(place, shape=shape, dtype=random.choice(("f8", "i8", "S3", h5py.string_dtype())))
        case 3 if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and item.size:
            item[...] = random.choice((np.nan, np.inf, -1, 0, 10**15))
        case 4 if isinstance(item, h5py.Dataset):
            del file[place]
            file[place] = random.choice(_SETTINGS)


_SETTINGS = ("", "[[", "x" * 5000, -1, 10**12, 1.5, "nan", np.arange(3), "{}", "[" * 2000)


def _drawing(seed: Callable[[], bytes]) -> Callable[[random.Random], bytes]:
    def draw(random: random.Random) -> bytes:
        data = seed()
        if random.random() < 0.3:
            return mutated_bytes(random, data, [])
        return _substituted(random, data)

    return draw


def _substituted(random: random.Random, data: bytes) -> bytes:
    """Put other numbers and words where some stand: a file in its format that says something else."""
    changed = bytearray(data)
    words = (
        b"-1",
        b"0",
        b"NaN",
        b"inf",
        b"1e308",
        b"99999999999999999999",
        b"",
        b"x",
        b"'",
        b",",
        b"\n",
        b"T",
        b"\xff",
    )
    for _ in range(random.choice((1, 1, 2, 5))):
        # Half of the time near the beginning, where headers stand.
        span = min(len(changed), 6_000) if random.random() < 0.5 else len(changed)
        at = random.randrange(max(span, 1))
        word = random.choice(words) if random.random() < 0.6 else random.randbytes(random.choice((1, 2, 8)))
        changed[at : at + len(word)] = word
    return bytes(changed)


@cache
def csv() -> bytes:
    """Return a table of counts."""
    rows = [f"{15.0 + 0.01 * i:.2f},{i % 7},{1e6 + i},{i % 3},10" for i in range(12)]
    return "\n".join(["wavelength,counts,area_exposure,background,background_scale", *rows, ""]).encode()


@cache
def ecsv() -> bytes:
    """Return a table of fluxes with units."""
    table = Table({"wavelength": 1.5 + 0.001 * np.arange(8), "flux": np.arange(8.0), "error": np.full(8, 0.5)})
    table["wavelength"].unit = "nm"
    table["flux"].unit = table["error"].unit = "erg / (cm2 s Angstrom)"
    out = io.StringIO()
    table.write(out, format="ascii.ecsv")
    return out.getvalue().encode()


@cache
def type_one() -> bytes:
    """Return an OGIP spectrum of twenty bins on MEG's own grid."""
    edges = get_instrument(MEG).channels[0].wavelength_edges[:21]
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(20)),
        fits.Column("COUNTS", "J", array=np.arange(20)),
        fits.Column("QUALITY", "I", array=np.zeros(20)),
        fits.Column("BIN_LO", "D", array=edges[:-1], unit="angstrom"),
        fits.Column("BIN_HI", "D", array=edges[1:], unit="angstrom"),
    ]
    return _fits(columns, {"EXPOSURE": 1e4, "OBJECT": "Capella", "DATE-OBS": "2006-01-02T03:04:05", "BACKSCAL": 1.0})


@cache
def type_two() -> bytes:
    """Return two orders of an OGIP spectrum, with their backgrounds."""
    edges = get_instrument(MEG).channels[0].wavelength_edges[:21].astype(np.float32)
    both = (2, 1)
    columns = [
        fits.Column("SPEC_NUM", "I", array=[1, 2]),
        fits.Column("TG_M", "I", array=[-1, 1]),
        fits.Column("TG_PART", "I", array=[2, 2]),
        *(
            fits.Column(name, "20I", array=np.tile(np.arange(20), both))
            for name in ("COUNTS", "BACKGROUND_UP", "BACKGROUND_DOWN")
        ),
        fits.Column("BIN_LO", "20E", array=np.tile(edges[:-1], both), unit="angstrom"),
        fits.Column("BIN_HI", "20E", array=np.tile(edges[1:], both), unit="angstrom"),
    ]
    return _fits(columns, {"HDUCLAS4": "TYPE:II", "EXPOSURE": 1e4, "BACKSCUP": 4.0, "BACKSCDN": 4.0})


@cache
def packed() -> bytes:
    """Return an OGIP spectrum packed by gzip."""
    return gzip.compress(type_one(), mtime=0)


@cache
def hdf5() -> bytes:
    """Return a file of two spectra in Coronium's own format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spectra.h5"
        write_spectra(path, [spectrum_from_message(one) for one in seeds.spectra()], {"log_temperature": [6.0, 6.5]})
        return path.read_bytes()


@cache
def response() -> bytes:
    """Return an effective area."""
    energy = np.linspace(0.8, 1.2, 21)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "D", array=energy[:-1], unit="keV"),
            fits.Column("ENERG_HI", "D", array=energy[1:], unit="keV"),
            fits.Column("SPECRESP", "D", array=np.full(20, 10.0), unit="cm**2"),
        ],
        name="SPECRESP",
    )
    return _written(table)


def _fits(columns: list[fits.Column], header: dict[str, object]) -> bytes:
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header.update(header)
    return _written(table)


def _written(table: fits.BinTableHDU) -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def _response(path: Path) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        path.write_bytes(data)
        try:
            instrument_from_ogip(path, name="fuzzed", fwhm=0.05)
        except ResponseFormatError:
            return REFUSED
        return PASSED

    return run
