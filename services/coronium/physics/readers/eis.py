"""Hinode/EIS rasters as counts, pixel by pixel or in macropixels.

The counts of an EIS level-1 file are photons (dark-subtracted, so they may be negative), -100
where a pixel was hit or hot. Its `radcal` turns the counts of one pixel and exposure into
erg cm-2 s-1 sr-1 A-1: it already holds the exposure time, the solid angle of the pixel (2 x 1 arcsec behind
the 2 arcsec slit) and the bin's width. With the photon energy hc / wavelength,

    area_exposure = (hc / wavelength) / (radcal x bin width)        [cm2 s sr]

is the factor between a photon radiance in one bin and its counts; dividing it by time and solid angle gives
back the laboratory's effective area. That area is then brought to the date of the raster
(`instruments.eis_calibration`).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coronium.physics.instruments import Instrument, get_instrument
from coronium.physics.instruments.eis_calibration import effective_area, preflight_area, read_noise
from coronium.physics.readers.errors import SpectrumFormatError, check_file, readable
from coronium.physics.readers.fe12 import HC, fe12_ratio_density
from coronium.physics.readers.hdf5_probe import probe
from coronium.physics.spectrum import Channel, FloatArray, SourceKind, Spectrum, Statistic

__all__ = ["Raster", "Window", "fe12_ratio_density", "read_raster"]

SAMPLE, SAMPLE_REGION = "eis_20210306_064444", "ar12807"
SAME_WINDOW = 0.03
"""Windows agree with the preset's when their ends do to this, Angstrom; one pixel is 0.022 A."""

LEAST_PIXELS = 0.5
"""A bin of a macropixel is used when at least this fraction of its pixels is valid."""


@dataclass(frozen=True)
class Window:
    """One spectral window of a raster, in the file's own pixels.

    Attributes
    ----------
    counts : (Y, X, N) float64
        Photons; NaN where missing.
    area_exposure : (N,) float64, cm2 s sr
        Of one pixel and exposure.
    wavelength : (N,) Angstrom
        Without correction.
    correction : (Y, X) Angstrom
        To be subtracted from `wavelength`: tilt of the slit and drift along the orbit.
    row_offset : int
        Rows by which the window sits higher on the detector than He II 256.
    """

    counts: FloatArray
    area_exposure: FloatArray
    wavelength: FloatArray
    correction: FloatArray
    row_offset: int


@dataclass(frozen=True)
class Raster:
    """A raster's windows by channel name, and where and when it was taken.

    Attributes
    ----------
    windows : dict of Window
    solar_x : (X,) arcsec
    solar_y : (Y,) arcsec
        Of the rows of a window without offset.
    start : (X,) Unix seconds
    exposure_seconds : float
    """

    windows: dict[str, Window]
    solar_x: FloatArray
    solar_y: FloatArray
    start: FloatArray
    exposure_seconds: float


def read_raster(
    path: str | Path | None = None, macropixel: tuple[int, int] = (12, 3), region: str = ""
) -> list[Spectrum]:
    """Read an EIS raster as macropixels, each a spectrum of its own.

    Raw bins are added up, so their noise stays independent; the mean wavelength correction of the
    macropixel moves its grid. Windows are aligned in solar y to a whole row. The short-wave windows sit 16
    or 17 rows higher on the detector than the long-wave ones: the map has the rows that all short-wave
    windows see, and a long-wave window that does not reach a macropixel is masked there.

    Parameters
    ----------
    path : path or None
        The data or header file of a level-1 HDF5 pair; None for the raster that ships with eispac
        (active region 12807, 2021-03-06).
    macropixel : (int, int)
        Rows (1 arcsec) and raster steps (4 arcsec in the shipped raster) of a macropixel. What does not
        fill one at the upper and right edges is left.
    region : str
        Middle part of the target's name, `sun/<region>/x012y007`. Default: `ar12807` for the raster that
        ships with eispac, the date and time of its first exposure for another.

    Returns
    -------
    list of Spectrum
        Bottom row first, left to right.

    Raises
    ------
    ImportError
        When eispac is missing; the message names the command that installs it.
    SpectrumFormatError
        When the file is absent, unreadable or of other windows than `hinode-eis` has.
    """
    with _files(path) as data_file, readable(data_file):
        raster = _read(data_file)
        if not region:
            region = SAMPLE_REGION if data_file.name.startswith(SAMPLE) else data_file.name.split(".")[0][4:]
        return _macropixels(raster, macropixel, region)


def _macropixels(raster: Raster, macropixel: tuple[int, int], region: str) -> list[Spectrum]:
    instrument = get_instrument("hinode-eis")
    rows, steps = macropixel
    lowest, highest = _short_wave_rows(raster)
    spectra = []
    for y in range((highest - lowest) // rows):
        for x in range(len(raster.solar_x) // steps):
            where = (lowest + y * rows, rows, x * steps, steps)
            spectra.append(_macropixel(raster, instrument, where, f"sun/{region}/x{x:03d}y{y:03d}"))
    return spectra


def _short_wave_rows(raster: Raster) -> tuple[int, int]:
    """First row and row after the last that every short-wave window covers; row 0 is He II 256's."""
    offsets = [window.row_offset for window in raster.windows.values() if window.wavelength[0] < 230]
    return -min(offsets), len(raster.solar_y) - max(offsets)


@contextlib.contextmanager
def _files(path: str | Path | None) -> Iterator[Path]:
    """The data file; the shipped pair is unpacked together, since its reader looks for both."""
    if path is not None:
        if not Path(path).is_file():
            raise SpectrumFormatError(f"{path}: no such file")
        for file in filter(Path.is_file, _pair(Path(path))):
            check_file(file)
            try:
                probe(file)
            except SpectrumFormatError as error:
                raise SpectrumFormatError(f"{path}: not a complete pair of EIS level-1 files ({error})") from None
        yield Path(path)
        return
    _eispac()
    with as_file(files("eispac") / "data" / "test") as folder:
        yield folder / f"{SAMPLE}.data.h5"


def _eispac() -> Any:
    try:
        import eispac
    except ImportError as error:
        raise ImportError("EIS rasters need eispac: pip install 'coronium[solar]'") from error
    return eispac


def _read(data_file: Path) -> Raster:
    eispac = _eispac()
    windows = {}
    try:
        info = eispac.read_wininfo(data_file)
        for channel in get_instrument("hinode-eis").channels:
            low, high = channel.wavelength[0], channel.wavelength[-1]
            found = np.flatnonzero(
                (np.abs(info["wvl_min"] - low) < SAME_WINDOW) & (np.abs(info["wvl_max"] - high) < SAME_WINDOW)
            )
            if len(found) != 1:
                raise SpectrumFormatError(
                    f"{data_file}: has no window {low:.2f}-{high:.2f} A; hinode-eis is the windows of {SAMPLE}"
                )
            said = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                cube = eispac.read_cube(str(data_file), window=int(found[0]), apply_radcal=False)
            if cube is None:
                # eispac prints what it refuses.
                raise SpectrumFormatError(f"{data_file}: eispac cannot read it ({' '.join(said.getvalue().split())})")
            meta = cube.meta
            windows[channel.name] = _window(cube, meta)
    except (KeyError, OSError, AttributeError) as error:
        raise SpectrumFormatError(f"{data_file}: not a complete pair of EIS level-1 files ({error})") from error
    times = [datetime.fromisoformat(str(time)).replace(tzinfo=UTC).timestamp() for time in meta["date_obs"]]
    return Raster(
        windows=windows,
        solar_x=np.asarray(meta["pointing"]["solar_x"], dtype=float),
        solar_y=np.asarray(meta["pointing"]["solar_y"], dtype=float),
        start=np.array(times),
        exposure_seconds=float(np.mean(meta["duration"])),
    )


def _pair(file: Path) -> tuple[Path, Path]:
    """The data file and the header file, of which one is given."""
    stem = file.name.replace(".data.h5", "").replace(".head.h5", "")
    return file.with_name(f"{stem}.data.h5"), file.with_name(f"{stem}.head.h5")


def _window(cube: Any, meta: Any) -> Window:
    wavelength = np.asarray(meta["wave"], dtype=float)
    step = (wavelength[-1] - wavelength[0]) / (len(wavelength) - 1)
    laboratory = HC / wavelength / (np.asarray(meta["radcal"], dtype=float) * step)
    year = _decimal_year(str(meta["date_obs"][0]))
    return Window(
        counts=np.where(cube.mask, np.nan, cube.data).astype(float),
        area_exposure=laboratory * effective_area(wavelength, year) / preflight_area(wavelength),
        wavelength=wavelength,
        correction=np.asarray(meta["wave_corr"], dtype=float),
        row_offset=round(float(np.mean(meta["ccd_offset"]))),
    )


def _decimal_year(date: str) -> float:
    time = datetime.fromisoformat(date)
    return time.year + (time.timetuple().tm_yday - 1) / 365.25


def _macropixel(raster: Raster, instrument: Instrument, where: tuple[int, int, int, int], target: str) -> Spectrum:
    bottom, rows, left, steps = where
    channels = tuple(_channel(name, raster.windows[name], where) for name in (c.name for c in instrument.channels))
    columns = slice(left, left + steps)
    middle = raster.solar_y[0] + bottom + 0.5 * (rows - 1)
    return Spectrum(
        target=target,
        instrument=instrument.name,
        source=SourceKind.RESOLVED,
        channels=channels,
        exposure_start=np.array([raster.start[columns].min()]),
        exposure_seconds=np.array([raster.exposure_seconds]),
        name=target.rsplit("/", 1)[-1],
        annotations={
            "solar_x_arcsec": f"{raster.solar_x[columns].mean():.2f}",
            "solar_y_arcsec": f"{middle:.2f}",
            "pixels": f"{rows}x{steps}",
        },
    )


def _channel(name: str, window: Window, where: tuple[int, int, int, int]) -> Channel:
    bottom, rows, left, steps = where
    first = bottom + window.row_offset
    step = (window.wavelength[-1] - window.wavelength[0]) / (len(window.wavelength) - 1)
    bins = len(window.wavelength)
    pixels = rows * steps
    covered = first >= 0 and first + rows <= window.counts.shape[0]
    rows_here = slice(max(first, 0), max(first, 0) + rows)
    columns = slice(left, left + steps)
    counts = np.full((pixels, bins), np.nan)
    if covered:
        counts = window.counts[rows_here, columns].reshape(pixels, bins)
    valid = np.isfinite(counts).sum(axis=0)
    mask: NDArray[np.bool_] = valid >= LEAST_PIXELS * pixels
    # A masked bin keeps its full area, so that a prediction for it means something.
    summed = np.where(mask, valid, pixels)
    correction = window.correction[rows_here, columns].mean()
    edges = window.wavelength[0] - correction + step * (np.arange(bins + 1) - 0.5)
    return Channel(
        name=name,
        wavelength_edges=edges,
        counts=np.where(mask, np.nansum(counts, axis=0), 0.0)[None].astype(np.float32),
        area_exposure=(summed * window.area_exposure)[None].astype(np.float32),
        mask=mask[None],
        statistic=Statistic.COUNTS_WITH_READ_NOISE,
        read_variance=(summed * read_noise(window.wavelength) ** 2)[None].astype(np.float32),
    )
