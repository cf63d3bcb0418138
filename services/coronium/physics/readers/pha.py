"""OGIP spectra: PHA files of type I and II, with their background and responses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coronium.physics.instruments import ChannelResponse, Instrument, get_instrument
from coronium.physics.instruments.ogip import ResponseFormatError, read_arf, read_rmf
from coronium.physics.readers.errors import SpectrumFormatError, check_file, readable, table_of
from coronium.physics.spectrum import Channel, FloatArray, Spectrum

NO_FILE = {"", "none"}
SAME_EDGE = 1e-3
"""Edges of two grids agree when they differ by less than this fraction of a bin."""


@dataclass(frozen=True)
class PhaRow:
    """One spectrum of a PHA file, in increasing wavelength.

    Attributes
    ----------
    edges : (N + 1,) Angstrom
    counts : (N,)
    good : (N,) bool
    background : (N,) or None
        Counts of the background region.
    background_scale : float
        Its area over that of the source region.
    exposure : float, s
    start : float, Unix seconds
    order : int
        Grating order; 0 where the file does not say.
    """

    edges: FloatArray
    counts: FloatArray
    good: NDArray[np.bool_]
    background: FloatArray | None
    background_scale: float
    exposure: float
    start: float
    order: int


def read_pha(
    path: str | Path,
    instrument: str,
    target: str = "",
    arf: str | Path | Sequence[str | Path] | None = None,
    rmf: str | Path | None = None,
    background: str | Path | None = None,
    orders: tuple[int, ...] = (-1, 1),
    distance_pc: float | None = None,
) -> Spectrum:
    """Read an OGIP spectrum (type I, or the first orders of type II) as counts of a known instrument.

    The grid is the file's own (`BIN_LO`, `BIN_HI` of grating spectra) or the RMF's; where every edge of the
    instrument's grid is an edge of the file's too, bins are added up to the instrument's. An instrument of
    one channel gets the sum of the orders read; one of two gets the negative order first.

    Parameters
    ----------
    path : path
    instrument : str
        A known instrument's name; for another, build it first (`instruments.ogip`) and register it.
    target : str
        Default: the header's OBJECT, or the file's name.
    arf : path or sequence of path, optional
        One for each order read, negative first. Default: the header's ANCRFILE beside the spectrum, and
        without that the instrument's own area.
    rmf, background : path, optional
        Default: the header's RESPFILE and BACKFILE beside the spectrum.
    orders : tuple of int
        Grating orders of a type II file to read.
    distance_pc : float, optional

    Raises
    ------
    SpectrumFormatError
    """
    response = get_instrument(instrument)
    with readable(path):
        try:
            return _read(Path(path), response, target, arf, rmf, background, orders, distance_pc)
        except ResponseFormatError as error:
            raise SpectrumFormatError(f"{path}: {error}") from error


def _read(
    path: Path,
    response: Instrument,
    target: str,
    arf: str | Path | Sequence[str | Path] | None,
    rmf: str | Path | None,
    background: str | Path | None,
    orders: tuple[int, ...],
    distance_pc: float | None,
) -> Spectrum:
    check_file(path)
    with fits.open(path) as file:
        if "SPECTRUM" not in file:
            raise SpectrumFormatError(f"{path}: has no SPECTRUM extension")
        header, table = file["SPECTRUM"].header, table_of(file["SPECTRUM"], path)
        rows = _rows(path, header, table, rmf, background, orders)
        name = str(header.get("OBS_ID", "")).strip() or path.name
        target = target or _target(str(header.get("OBJECT", ""))) or path.name.split(".")[0]
    if arf is None:
        arf = _beside(path, header, "ANCRFILE")
    arfs = [] if arf is None else [arf] if isinstance(arf, str | Path) else list(arf)
    channels = _channels(path, rows, response, arfs)
    return Spectrum(
        target=target,
        instrument=response.name,
        source=response.source,
        channels=channels,
        exposure_start=np.array([rows[0].start]),
        exposure_seconds=np.array([rows[0].exposure]),
        distance_pc=distance_pc,
        name=name,
    )


def _target(name: str) -> str:
    return name.strip().lower().replace(" ", "-")


def _beside(path: Path, header: fits.Header, key: str) -> Path | None:
    """The file that the header names, in the spectrum's folder or below: a header cannot point anywhere else."""
    name = str(header.get(key, "")).strip()
    file = path.parent / name
    if name.lower() in NO_FILE or not file.is_file():
        return None
    if not Path(os.path.normpath(file)).is_relative_to(os.path.normpath(path.parent)):
        raise SpectrumFormatError(
            f"{path}: {key} names {name!r}, outside the spectrum's folder; give that file yourself"
        )
    return file


def _rows(
    path: Path,
    header: fits.Header,
    table: Any,
    rmf: str | Path | None,
    background: str | Path | None,
    orders: tuple[int, ...],
) -> list[PhaRow]:
    if header.get("HDUCLAS4", "") == "TYPE:II" or np.ndim(table[table.names[-1]]) > 1 or "TG_M" in table.names:
        return _type_two(path, header, table, orders)
    if "COUNTS" not in table.names:
        raise SpectrumFormatError(f"{path}: has no COUNTS; rates and subtracted spectra cannot be fitted as counts")
    rmf = rmf or _beside(path, header, "RESPFILE")
    if {"BIN_LO", "BIN_HI"} <= set(table.names):
        edges, order = _wavelength_edges(path, table["BIN_LO"], table["BIN_HI"])
    elif rmf is not None:
        edges = read_rmf(rmf).edges
        # Detector channels rise in energy.
        order = np.arange(len(table), dtype=np.intp)[::-1]
        if len(edges) != len(table) + 1:
            raise SpectrumFormatError(f"{path}: {len(table)} channels, but the RMF has {len(edges) - 1}")
    else:
        raise SpectrumFormatError(f"{path}: has no wavelengths and names no RMF that is beside it; give rmf")
    good = np.ones(len(table), bool) if "QUALITY" not in table.names else table["QUALITY"] == 0
    region, scale = None, 1.0
    background = background or _beside(path, header, "BACKFILE")
    if background is not None:
        check_file(background)
        with fits.open(background) as file:
            other, its = table_of(file["SPECTRUM"], background), file["SPECTRUM"].header
            if len(other) != len(table):
                raise SpectrumFormatError(f"{background}: {len(other)} channels, but {path.name} has {len(table)}")
            region = other["COUNTS"].astype(float)[order]
            scale = _scalar(its, "BACKSCAL") / _scalar(header, "BACKSCAL")
            scale *= _scalar(its, "EXPOSURE") / _scalar(header, "EXPOSURE")
    return [
        PhaRow(
            edges,
            table["COUNTS"].astype(float)[order],
            good[order],
            region,
            scale,
            _scalar(header, "EXPOSURE"),
            _start(header),
            int(header.get("TG_M", 0)),
        )
    ]


def _type_two(path: Path, header: fits.Header, table: Any, orders: tuple[int, ...]) -> list[PhaRow]:
    missing = sorted({"COUNTS", "BIN_LO", "BIN_HI", "TG_M"} - set(table.names))
    if missing:
        raise SpectrumFormatError(f"{path}: a type II spectrum needs {', '.join(missing)}")
    rows = []
    for row in table:
        # TG_PART 1 is HEG, 2 MEG, 3 LEG: HEG has an area and a width of its own, and no preset.
        if row["TG_M"] not in orders or ("TG_PART" in table.names and row["TG_PART"] == 1):
            continue
        edges, order = _wavelength_edges(path, row["BIN_LO"], row["BIN_HI"])
        region, scale = None, 1.0
        if {"BACKGROUND_UP", "BACKGROUND_DOWN"} <= set(table.names):
            region = (row["BACKGROUND_UP"].astype(float) + row["BACKGROUND_DOWN"])[order]
            scale = _scalar(header, "BACKSCUP") + _scalar(header, "BACKSCDN")
        rows.append(
            PhaRow(
                edges,
                row["COUNTS"].astype(float)[order],
                np.ones(len(order), bool),
                region,
                scale,
                _scalar(header, "EXPOSURE"),
                _start(header),
                int(row["TG_M"]),
            )
        )
    if not rows:
        raise SpectrumFormatError(f"{path}: has none of the orders {', '.join(map(str, orders))}")
    return sorted(rows, key=lambda row: row.order)


def _wavelength_edges(path: Path, low: FloatArray, high: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    order = np.argsort(low)
    low, high = np.asarray(low, float)[order], np.asarray(high, float)[order]
    if np.any(high <= low) or np.any(np.abs(low[1:] - high[:-1]) > 0.01 * (high - low)[:-1]):
        raise SpectrumFormatError(f"{path}: BIN_LO and BIN_HI leave gaps or overlap")
    return np.append(low, high[-1]), order


def _scalar(header: fits.Header, key: str) -> float:
    value = float(header.get(key, 1.0))
    return value if value > 0 else 1.0


def _start(header: fits.Header) -> float:
    try:
        return datetime.fromisoformat(str(header["DATE-OBS"]).strip()).replace(tzinfo=UTC).timestamp()
    except (KeyError, ValueError):
        return 0.0


def _channels(path: Path, rows: list[PhaRow], instrument: Instrument, arfs: list[str | Path]) -> tuple[Channel, ...]:
    if arfs and len(arfs) != len(rows):
        raise SpectrumFormatError(f"{path}: holds {len(rows)} orders; give an ARF for each, not {len(arfs)}")
    if len(instrument.channels) == 1:
        if not arfs and len(rows) == 1 and rows[0].order != 0:
            raise SpectrumFormatError(f"{path}: order {rows[0].order:+d} alone needs its ARF")
        return (_channel(path, rows, instrument.channels[0], arfs),)
    if len(instrument.channels) != len(rows):
        raise SpectrumFormatError(
            f"{path}: holds {len(rows)} spectra; {instrument.name} has {len(instrument.channels)} channels"
        )
    return tuple(
        _channel(path, [row], own, arfs[i : i + 1])
        for i, (row, own) in enumerate(zip(rows, instrument.channels, strict=True))
    )


def _channel(path: Path, rows: list[PhaRow], own: ChannelResponse, arfs: list[str | Path]) -> Channel:
    """One channel from the sum of its rows, on the instrument's grid where that is a coarser one."""
    first = rows[0]
    if any(len(row.edges) != len(first.edges) or np.abs(row.edges - first.edges).max() > 1e-6 for row in rows):
        raise SpectrumFormatError(f"{path}: its orders are on different grids")
    edges, starts = _common_edges(first.edges, own.wavelength_edges)
    if len(edges) < 3:
        raise SpectrumFormatError(f"{path}: shares no wavelengths with channel {own.name} of the instrument")

    def summed(parts: list[FloatArray]) -> FloatArray:
        return np.add.reduceat(np.sum(parts, axis=0)[: starts[-1]], starts[:-1])

    wavelength = 0.5 * (edges[1:] + edges[:-1])
    if arfs:
        read = [read_arf(arf) for arf in arfs]
        area = np.sum([np.interp(wavelength, one.wavelength, one.area) for one in read], axis=0)
    else:
        area = np.interp(wavelength, own.wavelength, own.effective_area)
    mask = np.interp(wavelength, own.wavelength, own.mask.astype(float)) > 0.5
    bad = summed([(~row.good).astype(float) for row in rows])
    mask &= (bad == 0) & (area > 0)
    regions = [row.background for row in rows if row.background is not None]
    background = scale = None
    if len(regions) == len(rows):
        background = np.where(mask, summed(regions), 0.0)[None].astype(np.float32)
        scale = np.array([first.background_scale], np.float32)
    return Channel(
        name=own.name,
        wavelength_edges=edges,
        counts=np.where(mask, summed([row.counts for row in rows]), 0.0)[None].astype(np.float32),
        area_exposure=(area * first.exposure)[None].astype(np.float32),
        mask=mask[None],
        background=background,
        background_scale=scale,
    )


def _common_edges(edges: FloatArray, canonical: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Edges of the channel, and which of the file's edges they are."""
    nearest = np.clip(np.searchsorted(edges, canonical), 1, len(edges) - 1)
    nearest -= canonical - edges[nearest - 1] < edges[nearest] - canonical
    width = np.diff(edges)[np.minimum(nearest, len(edges) - 2)]
    # The published grids are single precision: edges agree to a few 1e-6 A.
    if np.all(np.abs(edges[nearest] - canonical) < SAME_EDGE * width + 5e-6) and np.all(np.diff(nearest) > 0):
        return canonical, nearest
    inside = np.flatnonzero((edges >= canonical[0]) & (edges <= canonical[-1]))
    return edges[inside], inside
