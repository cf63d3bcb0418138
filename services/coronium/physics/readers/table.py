"""A spectrum from a table: CSV or ECSV with named columns and their units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Table
from numpy.typing import NDArray

from coronium.contract.limits import MAX_TABLE_BYTES
from coronium.physics.instruments import Instrument, get_instrument
from coronium.physics.readers.errors import SpectrumFormatError, check_file, readable
from coronium.physics.readers.fe12 import HC
from coronium.physics.spectrum import Channel, FloatArray, SourceKind, Spectrum, Statistic

AREA = {SourceKind.STAR: u.cm**2 * u.s, SourceKind.RESOLVED: u.cm**2 * u.s * u.sr}
RADIANCE = {
    SourceKind.STAR: u.photon / u.cm**2 / u.s / u.AA,
    SourceKind.RESOLVED: u.photon / u.cm**2 / u.s / u.sr / u.AA,
}
COLUMNS = ("wavelength", "counts", "flux", "error", "area_exposure", "background", "background_scale", "channel")


def read_table(
    path: str | Path,
    instrument: str,
    target: str = "",
    exposure_seconds: float | None = None,
    distance_pc: float | None = None,
) -> Spectrum:
    """Read one spectrum of one exposure from CSV or ECSV.

    Columns: `wavelength` (bin centres, Angstrom where no unit is given, one value a bin) and either

    * `counts`, with `area_exposure` (cm2 s, or cm2 s sr for resolved sources; the instrument's own area times
      the exposure where it is missing), and if there is one `background` (counts of the background region)
      with `background_scale`; or
    * `flux` with `error`, per Angstrom, in photons or in erg (cm-2 s-1 A-1, with sr-1 for resolved sources).

    `channel` names the instrument's channel of each row where it has several. Rows with a value that is
    missing or not finite are masked. Without units (plain CSV) the first unit named above is meant.

    Parameters
    ----------
    path : path
    instrument : str
        A known instrument's name.
    target : str
        Default: the file's name.
    exposure_seconds : float, optional
        Default: the instrument's typical exposure; it matters only for counts without `area_exposure`.
    distance_pc : float, optional

    Returns
    -------
    Spectrum

    Raises
    ------
    SpectrumFormatError
    """
    response = get_instrument(instrument)
    seconds = response.exposure_seconds if exposure_seconds is None else exposure_seconds
    with readable(path):
        return _spectrum(path, _load(path), response, target, seconds, distance_pc)


def _spectrum(
    path: str | Path, table: Table, response: Instrument, target: str, seconds: float, distance_pc: float | None
) -> Spectrum:
    unknown = sorted(set(table.colnames) - set(COLUMNS))
    if unknown:
        raise SpectrumFormatError(f"{path}: unknown column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    if "wavelength" not in table.colnames or not {"counts", "flux"} & set(table.colnames):
        raise SpectrumFormatError(f"{path}: needs a column 'wavelength' and one of 'counts' and 'flux'")
    names = [channel.name for channel in response.channels]
    if "channel" in table.colnames:
        labels = np.asarray(table["channel"]).astype(str)
    elif len(names) == 1:
        labels = np.full(len(table), names[0])
    else:
        raise SpectrumFormatError(
            f"{path}: {response.name} has {len(names)} channels; add a column 'channel' of their names"
        )
    strangers = sorted(set(labels.tolist()) - set(names))
    if strangers:
        raise SpectrumFormatError(f"{path}: {response.name} has no channel {strangers[0]!r}; it has {', '.join(names)}")
    channels = tuple(
        _channel(path, table[labels == name], name, response, seconds) for name in names if name in set(labels)
    )
    return Spectrum(
        target=target or Path(path).name.split(".")[0],
        instrument=response.name,
        source=response.source,
        channels=channels,
        exposure_start=np.zeros(1),
        exposure_seconds=np.array([seconds]),
        distance_pc=distance_pc,
        name=Path(path).name,
    )


def _load(path: str | Path) -> Table:
    check_file(path, MAX_TABLE_BYTES)
    # Its lines: given a name, astropy would unpack what it finds there.
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpectrumFormatError(f"{path}: not a text in UTF-8") from None
    plain = {} if Path(path).suffix == ".ecsv" else {"comment": "#"}
    try:
        table = Table.read(
            text.replace("\r\n", "\n").split("\n"), format="ascii.csv" if plain else "ascii.ecsv", **plain
        )
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise SpectrumFormatError(f"{path}: not a readable table ({cause})") from error
    if len(table) < 2:
        raise SpectrumFormatError(f"{path}: a spectrum needs at least two rows")
    return table


def _channel(path: str | Path, rows: Table, name: str, instrument: Instrument, seconds: float) -> Channel:
    wavelength = _values(path, rows, "wavelength", u.AA)
    edges = _edges(path, wavelength)
    response = instrument.channel(name)
    if wavelength[0] < response.wavelength_edges[0] or wavelength[-1] > response.wavelength_edges[-1]:
        span = f"{response.wavelength_edges[0]:.2f}-{response.wavelength_edges[-1]:.2f} A"
        raise SpectrumFormatError(f"{path}: channel {name} of {instrument.name} covers {span} only")
    area = instrument.area_exposure(response, seconds) / instrument.pixels_summed
    own_area: FloatArray = np.interp(wavelength, response.wavelength, area)
    allowed = np.interp(wavelength, response.wavelength, response.mask.astype(float)) > 0.5
    if "counts" in rows.colnames:
        values = _values(path, rows, "counts", u.dimensionless_unscaled)
        if "area_exposure" in rows.colnames:
            own_area = _values(path, rows, "area_exposure", AREA[instrument.source])
        return _counts(path, rows, name, edges, values, own_area, allowed)
    return _fluxes(path, rows, name, edges, instrument, own_area, allowed)


def _counts(
    path: str | Path,
    rows: Table,
    name: str,
    edges: FloatArray,
    counts: FloatArray,
    area: FloatArray,
    allowed: NDArray[np.bool_],
) -> Channel:
    mask: NDArray[np.bool_] = allowed & np.isfinite(counts) & np.isfinite(area) & (area > 0)
    if np.any(counts[mask] < 0):
        raise SpectrumFormatError(
            f"{path}: counts are negative; give background-subtracted data as 'flux' with 'error'"
        )
    background: FloatArray | None = None
    scale: FloatArray | None = None
    if "background" in rows.colnames:
        region = _values(path, rows, "background", u.dimensionless_unscaled)
        mask &= np.isfinite(region)
        background = np.where(mask, region, 0.0)[None].astype(np.float32)
        scale = np.ones(1, np.float32)
        if "background_scale" in rows.colnames:
            scale = np.array(
                [np.nanmedian(_values(path, rows, "background_scale", u.dimensionless_unscaled))], np.float32
            )
    return Channel(
        name=name,
        wavelength_edges=edges,
        counts=np.where(mask, counts, 0.0)[None].astype(np.float32),
        area_exposure=np.where(mask, area, 1.0)[None].astype(np.float32),
        mask=mask[None],
        background=background,
        background_scale=scale,
    )


def _fluxes(
    path: str | Path,
    rows: Table,
    name: str,
    edges: FloatArray,
    instrument: Instrument,
    area: FloatArray,
    allowed: NDArray[np.bool_],
) -> Channel:
    """Fluxes on the scale of the instrument's own counts, which backgrounds and priors are made for."""
    if "error" not in rows.colnames:
        raise SpectrumFormatError(f"{path}: 'flux' needs a column 'error'")
    wavelength, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    unit = RADIANCE[instrument.source]
    flux = _values(path, rows, "flux", unit, wavelength) * width * area
    error = _values(path, rows, "error", unit, wavelength) * width * area
    mask = allowed & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    return Channel(
        name=name,
        wavelength_edges=edges,
        counts=np.where(mask, flux, 0.0)[None].astype(np.float32),
        area_exposure=area[None].astype(np.float32),
        mask=mask[None],
        statistic=Statistic.FLUX,
        read_variance=np.where(mask, error**2, 1.0)[None].astype(np.float32),
    )


def _values(
    path: str | Path, rows: Table, column: str, unit: u.UnitBase, wavelength: FloatArray | None = None
) -> FloatArray:
    """A column in `unit`, NaN where missing; energy becomes photons at `wavelength`."""
    data = rows[column]
    try:
        values = np.ma.filled(np.ma.asarray(data, dtype=float), np.nan)
    except (TypeError, ValueError):
        raise SpectrumFormatError(f"{path}: column {column!r} holds something that is not a number") from None
    given = getattr(data, "unit", None)
    if given is None or (unit.is_equivalent(u.dimensionless_unscaled) and given in (u.ct, u.photon)):
        return values
    quantity = values * u.Unit(given)
    if wavelength is not None and quantity.unit.is_equivalent(unit * u.erg / u.photon):
        quantity = quantity * u.photon / (HC * u.erg / wavelength)
    try:
        return quantity.to_value(unit)
    except u.UnitConversionError:
        raise SpectrumFormatError(f"{path}: column {column!r} is in {given}, which is not {unit}") from None


def _edges(path: str | Path, wavelength: FloatArray) -> FloatArray:
    if not np.all(np.isfinite(wavelength)) or np.any(np.diff(wavelength) <= 0):
        raise SpectrumFormatError(f"{path}: wavelengths must be finite and increase from row to row")
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])
