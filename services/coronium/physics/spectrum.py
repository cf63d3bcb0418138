"""What an observed spectrum is, inside the science: plain arrays with stated units."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


class Statistic(StrEnum):
    """How the values of a channel are distributed."""

    POISSON = "poisson"
    """Detected counts."""
    COUNTS_WITH_READ_NOISE = "counts_with_read_noise"
    """Photon counts read out with Gaussian noise (CCD): variance = model counts + read variance."""
    FLUX = "flux"
    """Calibrated values with Gaussian errors: variance = model values / counts per value + noise variance."""


class SourceKind(StrEnum):
    """What the emission measure of a source means."""

    RESOLVED = "resolved"
    """A resolved pixel: EM in cm-5, area in cm2 s sr."""
    STAR = "star"
    """An unresolved star: EM in cm-3 (with a distance) or EM / 4 pi d^2 in cm-5, area in cm2 s."""


@dataclass(frozen=True)
class Channel:
    """One order, arm or window of an instrument: E exposures of N wavelength bins.

    Attributes
    ----------
    name : str
        The instrument's name of the channel (`fe-12-192`, `letg-negative`).
    wavelength_edges : (N + 1,) float64, Angstrom, increasing
    counts : (E, N) float32
        Counts, or calibrated values for `Statistic.FLUX`; 0 where masked.
    area_exposure : (E, N) float32
        Effective area x exposure time (x solid angle): cm2 s for stars, cm2 s sr for resolved sources,
        so that rate x area_exposure = counts.
    mask : (E, N) bool
        True where the bin may be used.
    statistic : Statistic
    background : (E, N) float32 or None
        Counts of the background region.
    background_scale : (E,) float32
        BACKSCAL: area of the background region over that of the source region.
    read_variance : (E, N) float32 or None
        Variance of the detector noise in counts^2 (in values^2 for `Statistic.FLUX`).
    line_width : float
        Full width at half maximum of the line-spread function in Angstrom; 0 for the preset's own.
    """

    name: str
    wavelength_edges: FloatArray
    counts: FloatArray
    area_exposure: FloatArray
    mask: NDArray[np.bool_]
    statistic: Statistic = Statistic.POISSON
    background: FloatArray | None = None
    background_scale: FloatArray | None = None
    read_variance: FloatArray | None = None
    line_width: float = 0.0

    @property
    def wavelength(self) -> FloatArray:
        """Bin centres, (N,) Angstrom."""
        return 0.5 * (self.wavelength_edges[1:] + self.wavelength_edges[:-1])

    @property
    def bins(self) -> int:
        """Number of wavelength bins N."""
        return len(self.wavelength_edges) - 1


@dataclass(frozen=True)
class Spectrum:
    """One epoch of one target: exposures that share temperature and density.

    Attributes
    ----------
    target : str
        A star, or one place in a raster (`sun/ar12807/x012y007`).
    instrument : str
        Name of a preset or of a registered instrument.
    source : SourceKind
    channels : tuple of Channel
        All with the same number of exposures.
    exposure_start : (E,) float64
        Unix seconds; 0 when unknown.
    exposure_seconds : (E,) float64
    distance_pc : float or None
    name : str
        The user's own name of the spectrum (an ObsID, say).
    """

    target: str
    instrument: str
    source: SourceKind
    channels: tuple[Channel, ...]
    exposure_start: FloatArray
    exposure_seconds: FloatArray
    distance_pc: float | None = None
    name: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def exposures(self) -> int:
        """Number of exposures E."""
        return len(self.exposure_seconds)
