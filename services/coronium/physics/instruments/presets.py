"""The four instruments that ship with Coronium, with the source of every number."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np

from coronium.physics.instruments import eis_calibration
from coronium.physics.instruments.calibration import smooth_modes
from coronium.physics.instruments.instrument import ChannelResponse, Instrument, MaskedRange, Profile
from coronium.physics.spectrum import FloatArray, SourceKind, Statistic

EIS_WINDOWS = {
    # channel: (centre of the first pixel, Angstrom; step, Angstrom; pixels), from the header of the raster
    # eis_20210306_064444 that ships with eispac
    "ca-15-182": (181.639889, 0.0222992, 24),
    "fe-12-187": (186.389102, 0.0222937, 32),
    "fe-12-192": (192.140129, 0.0222872, 24),
    "ar-14-194": (193.744765, 0.0222852, 40),
    "ca-15-201": (200.652114, 0.0222774, 32),
    "fe-17-255": (254.587202, 0.0222668, 32),
    "s-13-257": (256.502081, 0.0222644, 40),
    "fe-23-263": (262.757466, 0.0222568, 48),
    "fe-14-271": (270.234459, 0.0222482, 24),
}
EIS_YEAR = 2021.18
"""Date of that raster, 2021-03-06: the areas of the preset are of this epoch."""

EIS_PIXELS = 36
"""Pixels of a macropixel of 12 x 3 (12 x 12 arcsec in that raster), whose faintest bins hold 0.43 (short waves)
and 0.58 counts per second and pixel."""

LETG_MASKED = (
    MaskedRange(15.090, 15.145, "third order of S XV 5.039"),
    MaskedRange(17.4995, 17.5020, "seam between the two wavelength files of the published spectra"),
    MaskedRange(18.500, 18.590, "third order of Si XIV 6.182"),
    MaskedRange(19.900, 20.000, "third order of Si XIII 6.648 (resonance)"),
    MaskedRange(20.030, 20.100, "third order of Si XIII 6.688 (intercombination)"),
    MaskedRange(20.180, 20.260, "third order of Si XIII 6.740 (forbidden)"),
)


@cache
def _data(name: str) -> dict[str, np.ndarray]:
    with np.load(str(files("coronium.physics") / "data" / f"{name}.npz"), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def hinode_eis() -> Instrument:
    """The nine windows of the sample raster, each pixel its own bin (0.0223 A)."""
    channels = []
    for name, (first, step, pixels) in EIS_WINDOWS.items():
        edges = first + step * (np.arange(pixels + 1) - 0.5)
        wavelength = 0.5 * (edges[1:] + edges[:-1])
        channels.append(
            ChannelResponse(
                name=name,
                wavelength_edges=edges,
                effective_area=eis_calibration.effective_area(wavelength, EIS_YEAR),
                fwhm=0.0675,
                fwhm_log_sd=0.15,
                # The long-wave lines of the sample raster lie 0.02-0.04 A redward, the short-wave ones 0.01 A.
                shift_sd=0.015 if wavelength[0] < 230 else 0.030,
                calibration_modes=eis_calibration.calibration_modes(wavelength),
                statistic=Statistic.COUNTS_WITH_READ_NOISE,
                read_noise=eis_calibration.read_noise(wavelength),
                background_rate=EIS_PIXELS * (0.43 if wavelength[0] < 230 else 0.58),
            )
        )
    return Instrument(
        name="hinode-eis",
        title="Hinode/EIS, nine windows, 2 arcsec slit",
        source=SourceKind.RESOLVED,
        channels=tuple(channels),
        exposure_seconds=10.0,
        solid_angle=eis_calibration.PIXEL_SOLID_ANGLE,
        pixels_summed=EIS_PIXELS,
        citation=(
            "Area: Del Zanna, Weberg & Warren, arXiv:2308.06609, epoch 2021.18; spread: Lang et al. 2006, "
            "Warren et al. 2014, Young & Mondal 2024. Width: 2 arcsec slit, 0.066-0.069 A in the raster's "
            "header. Wavelengths: Kamio et al. 2010, Solar Phys. 266, 209."
        ),
    )


def chandra_letg() -> Instrument:
    """Both first orders, 11-23 A in 0.0134 A bins, as Capella's published spectra have them."""
    data = _data("capella_letg")
    edges = data["edges"].astype(float)
    wavelength = 0.5 * (edges[1:] + edges[:-1])
    seconds = float(data["exposure_ks"].sum())
    common = smooth_modes(wavelength, 0.10, 0.5)
    between = smooth_modes(wavelength, 0.03, 0.5)
    channels = []
    for order, sign in (("negative", -1.0), ("positive", 1.0)):
        background = data[f"{order}_background"].sum() / (data["backscal"][0] * 1e3 * seconds * len(wavelength))
        channels.append(
            ChannelResponse(
                name=f"letg-{order}",
                wavelength_edges=edges,
                effective_area=_mean_letg_area(data, order),
                fwhm=0.052,
                fwhm_log_sd=0.10,
                shift_sd=0.010,
                calibration_modes=np.concatenate([common, sign * between]),
                profile=Profile.BETA,
                background_rate=float(background),
                background_scale=10.0,
                masked=LETG_MASKED,
                orders="HRC-S cannot separate orders; the strongest third-order lines are masked",
            )
        )
    return Instrument(
        name="chandra-letg",
        title="Chandra LETG/HRC-S, both first orders, 11-23 A",
        source=SourceKind.STAR,
        channels=tuple(channels),
        exposure_seconds=3.0e4,
        citation=(
            "Area: mean over 25 observations of Capella (Yu et al. 2024, arXiv:2404.10427). Width: 0.05 A "
            "(Chandra Proposers' Observatory Guide, table 9.1); O VIII 18.97 in those spectra measures "
            "0.049-0.055 A with a beta profile, which fits it better than a Gaussian. Area uncertainty: "
            "10 %, between the orders 3 % (assumed)."
        ),
    )


def _mean_letg_area(data: dict[str, np.ndarray], order: str) -> FloatArray:
    """Area x exposure summed over the observations, divided by the exposure: (N,) cm2."""
    area = data[f"{order}_area_mean"] * np.exp(data["area_step"] * data[f"{order}_area_log"])
    return area.sum(axis=0) / data["exposure_ks"].sum()


def chandra_meg() -> Instrument:
    """Sum of the +1 and -1 orders, 5-25 A in 0.01 A bins."""
    data = _data("effective_areas")
    edges = data["meg_edges"].astype(float)
    wavelength = 0.5 * (edges[1:] + edges[:-1])
    # The components are of the mirror and ACIS; the gratings add an error of their own.
    grating = smooth_modes(wavelength, 0.05, 0.5)
    channel = ChannelResponse(
        name="meg",
        wavelength_edges=edges,
        effective_area=data["meg_area"].astype(float),
        fwhm=0.023,
        fwhm_log_sd=0.10,
        shift_sd=0.005,
        calibration_modes=np.concatenate([data["meg_modes"].astype(float), grating]),
        background_rate=9.0e-7,
        background_scale=8.0,
        orders="ACIS-S separates orders by photon energy",
    )
    return Instrument(
        name="chandra-meg",
        title="Chandra HETG-MEG/ACIS-S, first orders added, 5-25 A",
        source=SourceKind.STAR,
        channels=(channel,),
        exposure_seconds=3.0e4,
        citation=(
            "Area: ACIS-S cycle 7 ARFs from PINTofALE (Kashyap & Drake 2000, BASI 28, 475). Uncertainty: "
            "principal components of Lee et al. 2011, ApJ 731, 126, and 5 % for the gratings (better than "
            "10 % in Schulz, Dewey & Marshall 1998, SPIE). Width: 0.023 A (Canizares et al. 2005, PASP 117, "
            "1144). Background: 1 count per Ms, FWHM and order (MIT note, HETG Background Rate)."
        ),
    )


def euve() -> Instrument:
    """The three EUVE spectrometers, first order, four bins to a resolution element."""
    data = _data("effective_areas")
    arms = (
        # arm, first and last wavelength, FWHM, wavelength error: all Angstrom (Abbott et al. 1996)
        (
            "sw",
            70.0,
            190.0,
            0.5,
            0.11,
            "second order below 15 % of the first up to 150 A, masked above 160 A",
        ),
        ("mw", 140.0, 380.0, 1.0, 0.13, "second order up to 19 % of the first (at 344 A), not modelled"),
        ("lw", 280.0, 400.0, 2.0, 0.25, "second order up to 35 % of the first (at 344 A), not modelled"),
    )
    masked = {"sw": (MaskedRange(160.0, 190.0, "second order of 80-95 A exceeds 30 % of the first"),)}
    shapes = []
    for arm, low, high, fwhm, *_ in arms:
        edges = np.linspace(low, high, round((high - low) / (fwhm / 4)) + 1)
        shapes.append((arm, edges, 0.5 * (edges[1:] + edges[:-1])))
    # Each arm has its own grating and detector; no mode is shared.
    modes = [smooth_modes(wavelength, 0.20, 0.5) for _, _, wavelength in shapes]
    total = sum(map(len, modes))
    channels, first = [], 0
    for (arm, _, _, fwhm, shift, orders), (_, edges, wavelength), own in zip(arms, shapes, modes, strict=True):
        padded = np.zeros((total, len(wavelength)))
        padded[first : first + len(own)] = own
        first += len(own)
        channels.append(
            ChannelResponse(
                name=f"euve-{arm}",
                wavelength_edges=edges,
                effective_area=np.interp(wavelength, data[f"euve_{arm}_wavelength"], data[f"euve_{arm}_area"]),
                fwhm=fwhm,
                fwhm_log_sd=0.10,
                shift_sd=shift,
                calibration_modes=padded,
                background_rate=1.0e-4,
                background_scale=10.0,
                masked=masked.get(arm, ()),
                orders=orders,
            )
        )
    return Instrument(
        name="euve",
        title="EUVE spectrometers, 70-400 A",
        source=SourceKind.STAR,
        channels=tuple(channels),
        exposure_seconds=1.0e5,
        citation=(
            "Area: first-order areas distributed with PINTofALE (Kashyap & Drake 2000, BASI 28, 475). Width "
            "and wavelength scale: Abbott et al. 1996, ApJS 107, 451. Area uncertainty 20 % and background "
            "1e-4 counts/s/bin: assumed."
        ),
    )
