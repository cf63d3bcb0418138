"""What an instrument does to light: grid, effective area, line-spread function and how well each is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from coronium.physics.spectrum import FloatArray, SourceKind, Statistic


class Profile(StrEnum):
    """Shape of the line-spread function."""

    GAUSSIAN = "gaussian"
    BETA = "beta"
    """`(1 + (x / w)^2)^-2.5`: a core with wings, as grating spectra show them."""


BETA_INDEX = 2.5


@dataclass(frozen=True)
class MaskedRange:
    """Wavelengths a fit must not use.

    Attributes
    ----------
    low, high : float
        Angstrom.
    reason : str
        What lands there, in words a user reads.
    """

    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class ChannelResponse:
    """One order, arm or window: N wavelength bins on its canonical grid.

    Attributes
    ----------
    name : str
    wavelength_edges : (N + 1,) float64, Angstrom, increasing
    effective_area : (N,) float64, cm2
    fwhm : float
        Nominal full width at half maximum of the line-spread function, Angstrom.
    fwhm_log_sd : float
        Prior standard deviation of ln(width); it also takes up thermal and turbulent broadening.
    shift_sd : float
        Prior standard deviation of the wavelength shift, Angstrom.
    calibration_modes : (K, N) float64
        c_k(wavelength) in ln(true area / area) = sum_k z_k c_k, z_k ~ N(0, 1). The z_k belong to the
        instrument: mode k acts on all of its channels at once and is zero where it does not act.
    profile : Profile
    statistic : Statistic
    read_noise : float
        Detector noise of one pixel, counts.
    background_rate : float
        Typical background under the source, counts per second and bin; what a simulation starts from.
    background_scale : float or None
        BACKSCAL of a typical background region; None where the instrument has no such region.
    masked : tuple of MaskedRange
    orders : str
        What is known of higher spectral orders.
    """

    name: str
    wavelength_edges: FloatArray
    effective_area: FloatArray
    fwhm: float
    fwhm_log_sd: float
    shift_sd: float
    calibration_modes: FloatArray
    profile: Profile = Profile.GAUSSIAN
    statistic: Statistic = Statistic.POISSON
    read_noise: float = 0.0
    background_rate: float = 0.0
    background_scale: float | None = None
    masked: tuple[MaskedRange, ...] = ()
    orders: str = "first order alone"

    @property
    def wavelength(self) -> FloatArray:
        """Bin centres, (N,) Angstrom."""
        return 0.5 * (self.wavelength_edges[1:] + self.wavelength_edges[:-1])

    @property
    def bins(self) -> int:
        """Number of wavelength bins N."""
        return len(self.wavelength_edges) - 1

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(N,) True where a bin may be used: it has area and touches no masked range."""
        low, high = self.wavelength_edges[:-1], self.wavelength_edges[1:]
        usable = self.effective_area > 0
        for span in self.masked:
            usable &= (high <= span.low) | (low >= span.high)
        return usable


@dataclass(frozen=True)
class Instrument:
    """A spectrometer as the forward model sees it.

    Attributes
    ----------
    name : str
        What messages and commands call it (`hinode-eis`).
    title : str
        What a reader calls it.
    source : SourceKind
    channels : tuple of ChannelResponse
    exposure_seconds : float
        A typical exposure.
    citation : str
        Where area, width and their uncertainties come from.
    solid_angle : float
        Of one pixel, sr; 1 for stars, whose area carries no solid angle.
    pixels_summed : int
        Detector pixels added up into one typical spectrum.
    """

    name: str
    title: str
    source: SourceKind
    channels: tuple[ChannelResponse, ...]
    exposure_seconds: float
    citation: str
    solid_angle: float = 1.0
    pixels_summed: int = 1

    @property
    def calibration_mode_count(self) -> int:
        """Number K of latent calibration amplitudes z_k."""
        return self.channels[0].calibration_modes.shape[0]

    def channel(self, name: str) -> ChannelResponse:
        """Return the channel of that name.

        Raises
        ------
        KeyError
            When there is none; the message lists the channels.
        """
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise KeyError(f"{self.name} has no channel {name!r}; it has {', '.join(c.name for c in self.channels)}")

    def area_exposure(self, channel: ChannelResponse, exposure_seconds: float | None = None) -> FloatArray:
        """Effective area x time x solid angle x pixels: (N,) cm2 s for stars, cm2 s sr for resolved ones."""
        seconds = self.exposure_seconds if exposure_seconds is None else exposure_seconds
        return channel.effective_area * seconds * self.solid_angle * self.pixels_summed

    def read_variance(self, channel: ChannelResponse) -> float:
        """Variance of the detector noise in one bin of a typical spectrum, counts^2."""
        return self.pixels_summed * channel.read_noise**2
