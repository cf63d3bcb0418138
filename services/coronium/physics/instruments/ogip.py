"""Any instrument from OGIP response files: ARF (effective area), RMF (redistribution), RSP (both).

ARFs are plain FITS tables and are read with astropy; an RMF packs its matrix in variable-length groups,
which pyspextools (SRON) unpacks. What a line fit needs of it is its grid, its efficiency and its width.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from coronium.physics.instruments.calibration import smooth_modes
from coronium.physics.instruments.instrument import ChannelResponse, Instrument, Profile
from coronium.physics.readers.errors import check_file, readable, table_of
from coronium.physics.spectrum import FloatArray, SourceKind

KEV_ANGSTROM = 12.398419843320026
"""Planck constant x speed of light, keV Angstrom (CODATA 2018)."""

WIDEST_RANGE_OF_FWHM = 2.0
AREA_SD, AREA_CORRELATION = 0.10, 0.5
"""Relative error of an area without published components, and its correlation length in ln(wavelength)."""


class ResponseFormatError(ValueError):
    """A response file that cannot be used; the message says why in one sentence."""


@dataclass(frozen=True)
class EffectiveArea:
    """An ARF in increasing wavelength.

    Attributes
    ----------
    edges : (N + 1,) Angstrom
    area : (N,) cm2
    modes : (K, N) or None
        Principal components of ln(area) (Lee et al. 2011, ApJ 731, 126), where the file has them.
    """

    edges: FloatArray
    area: FloatArray
    modes: FloatArray | None = None

    @property
    def wavelength(self) -> FloatArray:
        """Bin centres, (N,) Angstrom."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])


@dataclass(frozen=True)
class Redistribution:
    """What a line fit needs of an RMF.

    Attributes
    ----------
    edges : (N + 1,) Angstrom, increasing
        Of the detector channels.
    wavelength : (M,) Angstrom, increasing
        Photon wavelengths at which the matrix was sampled.
    fwhm : (M,) Angstrom
    efficiency : (M,)
        Sum of the matrix over channels: a fraction, or cm2 where the file holds the area too.
    holds_area : bool
    """

    edges: FloatArray
    wavelength: FloatArray
    fwhm: FloatArray
    efficiency: FloatArray
    holds_area: bool


def read_arf(path: str | Path) -> EffectiveArea:
    """Read an effective area, with its principal components where the file has a PCACOMP extension.

    Raises
    ------
    ResponseFormatError
    """
    with _opened(path) as file:
        table = _extension(file, "SPECRESP", path)
        try:
            low, high = table["ENERG_LO"].astype(float), table["ENERG_HI"].astype(float)
            area = table["SPECRESP"].astype(float)
        except KeyError as error:
            raise ResponseFormatError(f"{path}: the SPECRESP table lacks a column, {error}") from None
        order = np.argsort(-high)
        edges = _edges(low[order], high[order], path)
        area = np.nan_to_num(area[order])
        modes = None
        if "PCACOMP" in file:
            components = _extension(file, "PCACOMP", path)
            deviation = components["EIGENVAL"][:, None].astype(float) * components["EIGENVEC"].astype(float)
            relative = deviation[:, order] / np.maximum(area, 1e-6 * area.max())
            modes = _strongest(relative, area)
    return EffectiveArea(edges, area, modes)


def read_rmf(path: str | Path, samples: int = 64) -> Redistribution:
    """Read a redistribution matrix and measure its width at `samples` photon energies.

    Raises
    ------
    ImportError
        When pyspextools is missing; the message names the command that installs it.
    ResponseFormatError
    """
    try:
        from pyspextools.io.rmf import Rmf
    except ImportError as error:
        raise ImportError("RMF files need pyspextools: pip install 'coronium[ogip]'") from error
    with _opened(path) as file:
        if not {"MATRIX", "SPECRESP MATRIX"} & {hdu.name for hdu in file} or "EBOUNDS" not in file:
            raise ResponseFormatError(f"{path}: needs a MATRIX and an EBOUNDS extension")
        for hdu in file[1:]:
            table_of(hdu, path, ResponseFormatError)
    with readable(path, ResponseFormatError):
        return _measured(path, Rmf(), samples)


def _measured(path: str | Path, response: Any, samples: int) -> Redistribution:
    with contextlib.redirect_stdout(io.StringIO()):
        response.read(str(path))
    bounds, matrix = response.ebounds, response.matrix[0]
    low, high = bounds.ChannelLowEnergy.astype(float), bounds.ChannelHighEnergy.astype(float)
    order = np.argsort(-high)
    edges = _edges(low[order], high[order], path)
    centre, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    photon = KEV_ANGSTROM / (0.5 * (matrix.LowEnergy.astype(float) + matrix.HighEnergy))
    inside = np.flatnonzero((photon > edges[0]) & (photon < edges[-1]) & (matrix.NumberGroups > 0))
    if not len(inside):
        raise ResponseFormatError(f"{path}: no photon energy of the matrix lies within its channels")
    chosen = inside[np.unique(np.linspace(0, len(inside) - 1, samples).astype(int))]
    chosen = chosen[np.argsort(photon[chosen])]
    fwhm, efficiency = [], []
    for energy in chosen:
        row = np.zeros(len(low))
        for group in range(matrix.FirstGroup[energy], matrix.FirstGroup[energy] + matrix.NumberGroups[energy]):
            first = matrix.FirstChannelGroup[group] - bounds.FirstChannel
            element, count = matrix.FirstElement[group], matrix.NumberChannelsGroup[group]
            row[first : first + count] = matrix.Matrix[element : element + count]
        fwhm.append(_full_width(centre, row[order] / width))
        efficiency.append(row.sum())
    return Redistribution(edges, photon[chosen], np.array(fwhm), np.array(efficiency), matrix.AreaIncluded)


def instrument_from_ogip(
    arf: str | Path | None,
    rmf: str | Path | None = None,
    name: str = "ogip",
    *,
    fwhm: float | None = None,
    wavelength_range: tuple[float, float] | None = None,
    exposure_seconds: float = 3.0e4,
    profile: Profile = Profile.GAUSSIAN,
) -> Instrument:
    """Build a one-channel instrument of a star from OGIP files.

    Parameters
    ----------
    arf : path or None
        Effective area; None only where `rmf` is an RSP file, which holds the area.
    rmf : path, optional
        Redistribution; its channels become the grid and its median width the FWHM. Without it the ARF's
        bins are the grid and `fwhm` must be given.
    name : str
        Of the instrument and of its channel.
    fwhm : float, optional
        Angstrom; overrides the RMF's.
    wavelength_range : (float, float), optional
        Angstrom; the part of the grid to keep.
    exposure_seconds : float
    profile : Profile

    Returns
    -------
    Instrument
        Its calibration modes are the ARF's principal components, or smooth ones of 10 % without them.

    Raises
    ------
    ResponseFormatError
        When the files do not fit together, or when the width varies so much over the range that one
        number cannot stand for it.
    """
    area = None if arf is None else read_arf(arf)
    response = None if rmf is None else read_rmf(rmf)
    if response is not None:
        edges = response.edges
    elif area is not None:
        edges = area.edges
    else:
        raise ResponseFormatError("give an ARF, an RSP, or an ARF and an RMF")
    if wavelength_range is not None:
        low, high = wavelength_range
        kept = edges[(edges >= low) & (edges <= high)]
        if len(kept) < 2:
            raise ResponseFormatError(
                f"no bin lies within {low}-{high} A; the grid is {edges[0]:.3f}-{edges[-1]:.3f} A"
            )
        edges = kept
    wavelength = 0.5 * (edges[1:] + edges[:-1])
    if area is None and not (response is not None and response.holds_area):
        raise ResponseFormatError("this RMF holds no area; give its ARF too")
    effective = np.ones(len(wavelength)) if area is None else np.interp(wavelength, area.wavelength, area.area)
    if response is not None:
        effective = effective * np.interp(wavelength, response.wavelength, response.efficiency)
    if area is not None and area.modes is not None:
        modes = np.array([np.interp(wavelength, area.wavelength, mode) for mode in area.modes])
    else:
        modes = smooth_modes(wavelength, AREA_SD, AREA_CORRELATION)
    channel = ChannelResponse(
        name=name,
        wavelength_edges=edges,
        effective_area=effective,
        fwhm=_one_width(response, edges) if fwhm is None else fwhm,
        fwhm_log_sd=0.10,
        shift_sd=0.1 * (_one_width(response, edges) if fwhm is None else fwhm),
        calibration_modes=modes,
        profile=profile,
    )
    sources = ", ".join(Path(file).name for file in (arf, rmf) if file is not None)
    return Instrument(
        name=name,
        title=f"{name} ({sources})",
        source=SourceKind.STAR,
        channels=(channel,),
        exposure_seconds=exposure_seconds,
        citation=f"OGIP response files {sources}",
    )


def _one_width(response: Redistribution | None, edges: FloatArray) -> float:
    if response is None:
        raise ResponseFormatError("without an RMF the width of the line-spread function must be given (fwhm)")
    inside = (response.wavelength >= edges[0]) & (response.wavelength <= edges[-1]) & np.isfinite(response.fwhm)
    widths = response.fwhm[inside] if inside.any() else response.fwhm
    if widths.max() > WIDEST_RANGE_OF_FWHM * widths.min():
        raise ResponseFormatError(
            f"the response widens from {widths.min():.3g} to {widths.max():.3g} A; give a narrower wavelength_range"
        )
    return float(np.median(widths))


@contextlib.contextmanager
def _opened(path: str | Path):  # type: ignore[no-untyped-def]
    with readable(path, ResponseFormatError):
        check_file(path, refusal=ResponseFormatError)
        try:
            file = fits.open(path)
        except OSError as error:
            raise ResponseFormatError(f"{path}: not a FITS file ({error})") from None
        with file:
            yield file


def _extension(file: fits.HDUList, name: str, path: str | Path):  # type: ignore[no-untyped-def]
    if name not in file:
        raise ResponseFormatError(f"{path}: has no {name} extension")
    return table_of(file[name], path, ResponseFormatError)


def _edges(low: FloatArray, high: FloatArray, path: str | Path) -> FloatArray:
    """Edges in increasing wavelength from energy bounds (keV) in decreasing energy."""
    if not np.all(np.isfinite(high)) or np.any(high <= low) or np.any(low < 0):
        raise ResponseFormatError(f"{path}: energy bounds are not increasing")
    if np.any(np.abs(low[:-1] - high[1:]) > 1e-3 * (high - low)[:-1]):
        raise ResponseFormatError(f"{path}: energy bins leave gaps")
    # A first bin from 0 keV has no finite wavelength; a nearby one is as good as its area is nil.
    last = max(low[-1], 1e-2 * high[-1])
    return KEV_ANGSTROM / np.append(high, last)


def _strongest(relative: FloatArray, area: FloatArray, kept: float = 0.97) -> FloatArray:
    """The leading components that carry `kept` of the area-weighted variance."""
    weight = (relative * (area > 1e-3 * area.max())) ** 2
    order = np.argsort(-weight.sum(axis=1))
    share = np.cumsum(weight.sum(axis=1)[order]) / weight.sum()
    return relative[order[: int(np.searchsorted(share, kept)) + 1]]


def _full_width(wavelength: FloatArray, density: FloatArray) -> float:
    """Full width at half maximum, interpolated between channels; NaN where the peak is at an edge."""
    peak = int(np.argmax(density))
    half = 0.5 * density[peak]
    below = np.flatnonzero(density < half)
    left, right = below[below < peak], below[below > peak]
    if not len(left) or not len(right):
        return float("nan")

    def crossing(outside: int, inside: int) -> float:
        fraction = (half - density[outside]) / (density[inside] - density[outside])
        return float(wavelength[outside] + fraction * (wavelength[inside] - wavelength[outside]))

    return crossing(right[0], right[0] - 1) - crossing(left[-1], left[-1] + 1)
