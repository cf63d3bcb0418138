"""Every unknown of a fit as one vector of independent standard normals, and what it means physically.

The prior of the whole vector is N(0, 1): a uniform quantity is mapped through the normal distribution function,
scales are non-centred. Simulator and fit share this file, so that a simulation draws from the fit's own prior.

Levels: survey (calibration, atomic scales) - star (plasma, abundances, absorption) - exposure (relative emission
measure) - line (atomic corrections).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.stats import norm

from coronium.physics.abundances import HELIUM, HYDROGEN, IRON, OXYGEN, symbol
from coronium.physics.forward import Plasma, Response
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.layout import Layout
from coronium.physics.spectrum import SourceKind

LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class Priors:
    """The default prior: hashable; its representation is part of a result's version.

    Attributes
    ----------
    log_temperature, log_density : (low, high), uniform
    dem_width : (low, high) dex, log-uniform; used by the gaussian-dem plasma alone
    resolved_log_emission_measure, star_log_emission_measure : (mean, sd) of log10(EM A(Fe) / A_reference(Fe)),
        cm-5; for stars EM / 4 pi d^2
    metallicity_sd, abundance_sd : dex, around the reference set
    log_column : (low, high) log10 cm-2, uniform; stars alone
    ion_scale, line_scale : (median, sd of ln) of the relative atomic uncertainties per ion and per line
    model_error : (median, sd of ln) of the relative error of the model in a bin, the same in all exposures
    width_deviation : sd of ln(width) of one channel about the instrument's common factor
    background_sd : sd of ln(background level) of a channel
    background_slope_sd : change of ln(background) over half a channel
    exposure_scale : (median, sd of ln) of the scatter of ln(EM) between exposures
    exposure_background_sd : sd of ln(background) between exposures
    """

    log_temperature: tuple[float, float] = (5.8, 7.4)
    log_density: tuple[float, float] = (8.0, 12.0)
    dem_width: tuple[float, float] = (0.03, 0.3)
    resolved_log_emission_measure: tuple[float, float] = (27.5, 1.0)
    star_log_emission_measure: tuple[float, float] = (12.5, 1.0)
    metallicity_sd: float = 0.3
    abundance_sd: float = 0.3
    log_column: tuple[float, float] = (17.5, 20.0)
    ion_scale: tuple[float, float] = (0.10, 0.1)
    line_scale: tuple[float, float] = (0.10, 0.1)
    model_error: tuple[float, float] = (0.03, 1.0)
    width_deviation: float = 0.10
    background_sd: float = 1.0
    background_slope_sd: float = 0.3
    exposure_scale: tuple[float, float] = (0.10, 0.5)
    exposure_background_sd: float = 0.5


MISSION_BOX = Priors(log_temperature=(6.0, 7.0), log_density=(9.0, 11.0))
"""The mission's test set: 1-10 MK, 1e9-1e11 cm-3."""


class State(NamedTuple):
    """Physical meaning of one vector.

    Attributes
    ----------
    plasma : Plasma
    response : Response
    ln_line_correction : (L,)
    background : (E, C) counts per second and bin at the channel's centre
    background_slope : (C,) d ln(background) from the centre to the end of the channel
    exposure_scale : (E,) relative emission measure of the exposures
    model_error : relative standard deviation of the source's counts in a bin about the model's
    """

    plasma: Plasma
    response: Response
    ln_line_correction: Array
    background: Array
    background_slope: Array
    exposure_scale: Array
    model_error: Array


@dataclass(frozen=True)
class ParameterSpace:
    """Names and places of the unknowns of one layout; hashable and static.

    Attributes
    ----------
    names : tuple of str
        One per entry of the vector.
    slices : dict-like tuple of (group, start, stop)
    """

    layout: Layout
    priors: Priors
    source: SourceKind
    gaussian_dem: bool
    exposures: int
    reference_element: int
    free_elements: tuple[int, ...]
    corrected_ions: tuple[tuple[int, int], ...]
    corrected_lines: tuple[int, ...]
    names: tuple[str, ...]
    slices: tuple[tuple[str, int, int], ...]
    fwhm: tuple[float, ...]
    fwhm_log_sd: float
    shift_sd: tuple[float, ...]
    background_rate: tuple[float, ...]
    modes: int
    _index: dict[str, tuple[int, int]] = field(init=False, compare=False, hash=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {name: (a, b) for name, a, b in self.slices})

    @property
    def size(self) -> int:
        """Number D of unknowns."""
        return len(self.names)

    def part(self, z: Array, group: str) -> Array:
        """Entries of one group of unknowns, (..., n)."""
        start, stop = self._index[group]
        return z[..., start:stop]

    def among(self, *groups: str) -> np.ndarray:
        """Which unknowns belong to some groups, (D,) bool."""
        own = np.zeros(self.size, bool)
        for group in groups:
            own[slice(*self.bounds(group))] = True
        return own

    @property
    def quoted(self) -> np.ndarray:
        """Which unknowns results quote, (D,) bool: those of the plasma, and the model's error."""
        return self.among(
            "temperature", "density", "amplitude", "metallicity", "dem", "column", "abundance", "model_error"
        )

    @property
    def held(self) -> np.ndarray:
        """Which unknowns have no sensible maximum together with others, (D,) bool."""
        return self.among("exposure_scatter")

    def bounds(self, group: str) -> tuple[int, int]:
        """First index of a group of unknowns, and the index behind its last."""
        return self._index[group]

    def position(self, name: str) -> int:
        """Index of one unknown."""
        return self.names.index(name)


def parameter_space(
    layout: Layout,
    instrument: Instrument,
    priors: Priors,
    source: SourceKind,
    gaussian_dem: bool,
    exposures: int,
    free_elements: tuple[int, ...],
    corrected_ions: tuple[tuple[int, int], ...],
    corrected_lines: tuple[tuple[int, str], ...],
) -> ParameterSpace:
    """Lay out the vector of unknowns.

    Parameters
    ----------
    free_elements : tuple of int
        Elements whose abundance is free; the reference element (iron, or oxygen where there is no iron) among them
        is sampled through the amplitude instead.
    corrected_ions : tuple of (element, ion)
    corrected_lines : tuple of (line index, label)
    """
    reference = IRON if IRON in free_elements else OXYGEN
    relative = tuple(z for z in free_elements if z not in (reference, HYDROGEN, HELIUM))
    channels = [c.name for c in instrument.channels]
    groups: list[tuple[str, list[str]]] = [
        ("temperature", ["log_temperature"]),
        ("density", ["log_density"]),
        ("amplitude", ["log_amplitude"]),
        ("metallicity", ["metallicity"]),
        ("dem", ["dem_width"] if gaussian_dem else []),
        ("column", ["log_column"] if source is SourceKind.STAR else []),
        ("abundance", [f"abundance_{symbol(z).lower()}" for z in relative]),
        ("shift", [f"shift_{c}" for c in channels]),
        ("width", ["width", *(f"width_{c}" for c in channels)]),
        ("background", [f"background_{c}" for c in channels]),
        ("slope", [f"background_slope_{c}" for c in channels] if source is SourceKind.STAR else []),
        ("exposure_scatter", ["exposure_scatter"] if exposures > 1 else []),
        ("exposure", [f"exposure_{e}" for e in range(exposures)] if exposures > 1 else []),
        (
            "exposure_background",
            [f"exposure_background_{e}" for e in range(exposures)] if exposures > 1 else [],
        ),
        ("calibration", [f"calibration_{q}" for q in range(instrument.calibration_mode_count)]),
        ("atomic_scale", ["ion_scale", "line_scale"]),
        ("model_error", ["model_error"]),
        ("ion", [f"ion_{symbol(z).lower()}_{stage}" for z, stage in corrected_ions]),
        ("line", [f"line_{label}" for _, label in corrected_lines]),
    ]
    slices, start = [], 0
    for name, members in groups:
        slices.append((name, start, start + len(members)))
        start += len(members)
    return ParameterSpace(
        layout=layout,
        priors=priors,
        source=source,
        gaussian_dem=gaussian_dem,
        exposures=exposures,
        reference_element=reference,
        free_elements=relative,
        corrected_ions=corrected_ions,
        corrected_lines=tuple(index for index, _ in corrected_lines),
        names=tuple(n for _, members in groups for n in members),
        slices=tuple(slices),
        fwhm=tuple(c.fwhm for c in instrument.channels),
        fwhm_log_sd=max(c.fwhm_log_sd for c in instrument.channels),
        shift_sd=tuple(c.shift_sd for c in instrument.channels),
        background_rate=tuple(c.background_rate for c in instrument.channels),
        modes=instrument.calibration_mode_count,
    )


def uniform(z: Array, bounds: tuple[float, float]) -> Array:
    """Map a standard normal to a uniform quantity."""
    return bounds[0] + (bounds[1] - bounds[0]) * norm.cdf(z)


def amplitude_prior(space: ParameterSpace) -> tuple[float, float]:
    """Mean and sd of log10(EM A(Fe) / A_reference(Fe)) for this kind of source."""
    p = space.priors
    return p.star_log_emission_measure if space.source is SourceKind.STAR else p.resolved_log_emission_measure


def model_error(space: ParameterSpace, z: Array) -> Array:
    """Relative error of the model in a bin, scalar: what lines and effects that it lacks do to its counts."""
    median, sd = space.priors.model_error
    return jnp.exp(float(np.log(median)) + sd * space.part(z, "model_error")[0].astype(jnp.float32))


def _exposure_scatter(space: ParameterSpace, z: Array) -> Array:
    """Scatter of ln(EM) between exposures over the prior's median, scalar."""
    return jnp.exp(space.priors.exposure_scale[1] * space.part(z, "exposure_scatter")[0])


def exposure_log_prior(space: ParameterSpace, z: Array) -> Array:
    """Ln prior density of the exposures' unknowns given their scatter, over that of standard normals, scalar.

    All other unknowns are standard normals. These are not: an exposure tells its emission measure well, so that
    standard normals times a scatter would have a posterior that no Gaussian resembles, its mode far from its mass
    (Betancourt & Girolami 2015, in Current Trends in Bayesian Methodology, section 4.1.2). The price is a spike where
    the scatter and all exposures vanish: climbs must hold the scatter (`ParameterSpace.held`).
    """
    if space.exposures == 1:
        return jnp.zeros((), jnp.float64)
    scatter = _exposure_scatter(space, z)
    own = space.part(z, "exposure").astype(jnp.float64)
    return -0.5 * jnp.sum(own**2) * (scatter**-2 - 1.0) - space.exposures * jnp.log(scatter)


def exposure_information(space: ParameterSpace, z: Array) -> Array:
    """Expected information of `exposure_log_prior` about the unknowns, the diagonal of a (D, D) matrix, (D,)."""
    if space.exposures == 1:
        return jnp.zeros(space.size, jnp.float32)
    own = jnp.full(space.exposures, _exposure_scatter(space, z) ** -2 - 1.0)
    information = jnp.zeros(space.size, jnp.float32).at[slice(*space.bounds("exposure"))].set(own)
    return information.at[space.position("exposure_scatter")].set(
        2.0 * space.exposures * space.priors.exposure_scale[1] ** 2
    )


def from_standard_normals(space: ParameterSpace, z: Array) -> Array:
    """Turn standard normals (..., D) into unknowns drawn from the prior."""
    if space.exposures == 1:
        return z
    scatter = jnp.exp(space.priors.exposure_scale[1] * space.part(z, "exposure_scatter"))
    return z.at[(..., slice(*space.bounds("exposure")))].multiply(scatter)


def physical(space: ParameterSpace, corrections: Array, z: Array) -> State:
    """What a vector of unknowns means.

    Parameters
    ----------
    space : ParameterSpace
    corrections : (L, ions + lines)
        1 where an atomic correction acts on a line.
    z : (D,) float32
    """
    p, part = space.priors, space.part
    z = z.astype(jnp.float32)
    log_t = uniform(part(z, "temperature")[0], p.log_temperature)
    log_n = uniform(part(z, "density")[0], p.log_density)
    mean, sd = amplitude_prior(space)
    ln_amplitude = LN10 * (mean + sd * part(z, "amplitude")[0])
    ln_metals = LN10 * p.metallicity_sd * part(z, "metallicity")[0]
    width = None
    if space.gaussian_dem:
        low, high = (float(np.log(w)) for w in p.dem_width)
        width = jnp.exp(uniform(part(z, "dem")[0], (low, high)))
    column = jnp.zeros((), jnp.float32)
    if space.source is SourceKind.STAR:
        column = jnp.exp(LN10 * (uniform(part(z, "column")[0], p.log_column) - 18.0))

    elements = space.layout.elements
    free = LN10 * p.abundance_sd * part(z, "abundance")
    ln_abundance = []
    for element in elements:
        if element in (HYDROGEN, HELIUM):
            ln_abundance.append(jnp.zeros((), jnp.float32))
        elif element in space.free_elements:
            ln_abundance.append(ln_metals + free[space.free_elements.index(element)])
        else:
            ln_abundance.append(ln_metals)

    common, *_ = part(z, "width")
    own = part(z, "width")[1:]
    fwhm = jnp.asarray(space.fwhm, jnp.float32) * jnp.exp(space.fwhm_log_sd * common + p.width_deviation * own)
    shift = jnp.asarray(space.shift_sd, jnp.float32) * part(z, "shift")

    level = jnp.log(jnp.asarray(space.background_rate, jnp.float32)) + p.background_sd * part(z, "background")
    if space.source is SourceKind.STAR:
        slope = p.background_slope_sd * part(z, "slope")
    else:
        slope = jnp.zeros(space.layout.channels, jnp.float32)
    exposure_scale, background = jnp.ones(1, jnp.float32), jnp.exp(level)[None]
    if space.exposures > 1:
        exposure_scale = jnp.exp(p.exposure_scale[0] * part(z, "exposure"))
        background = jnp.exp(level[None] + p.exposure_background_sd * part(z, "exposure_background")[:, None])

    ion_scale, line_scale = (
        jnp.exp(float(np.log(s[0])) + s[1] * part(z, "atomic_scale")[i])
        for i, s in enumerate((p.ion_scale, p.line_scale))
    )
    correction = corrections @ jnp.concatenate([ion_scale * part(z, "ion"), line_scale * part(z, "line")])
    return State(
        plasma=Plasma(
            log_temperature=log_t,
            log_density=log_n,
            dem_width=width,
            ln_emission_measure=ln_amplitude - ln_metals,
            ln_abundance=jnp.stack(ln_abundance),
            ln_metals=ln_metals,
            column=column,
        ),
        response=Response(fwhm=fwhm, shift=shift, calibration=part(z, "calibration")),
        ln_line_correction=correction,
        background=background,
        background_slope=slope,
        exposure_scale=exposure_scale,
        model_error=model_error(space, z),
    )
