"""Results as a person uses them: names, numbers with units, and arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coronium.physics.spectrum import FloatArray, Spectrum


@dataclass(frozen=True)
class Parameter:
    """Marginal posterior of one parameter.

    Attributes
    ----------
    name, unit : str
    median, lower, upper : float
        Median and the ends of the 68 % interval, in `unit`.
    lower95, upper95 : float
        Ends of the 95 % interval.
    mean, standard_deviation : float
    constraint : str
        `measured`, `upper_limit`, `lower_limit` or `unconstrained`. Quote the interval only where it is measured.
    limit : float or None
        The 95 % limit where the constraint is one.
    prior_dominated : bool
        The data hardly speak about this parameter.
    r_hat, effective_sample_size : float
        How well the sampler did on it.
    """

    name: str
    unit: str
    median: float
    lower: float
    upper: float
    lower95: float
    upper95: float
    mean: float
    standard_deviation: float
    constraint: str
    limit: float | None
    prior_dominated: bool
    r_hat: float
    effective_sample_size: float

    def __str__(self) -> str:
        match self.constraint:
            case "upper_limit":
                text = f"< {self.limit:.4g}"
            case "lower_limit":
                text = f"> {self.limit:.4g}"
            case "unconstrained":
                return "unconstrained"
            case _:
                text = f"{self.median:.4g} +{self.upper - self.median:.2g} -{self.median - self.lower:.2g}"
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True)
class Line:
    """An emission line, or a group of lines too close to tell apart.

    Attributes
    ----------
    label : str
        Ion and wavelength.
    wavelength : float
        Angstrom.
    probability : float
        Posterior probability that the line is there.
    flux, flux_error : float
        photon cm-2 s-1, for resolved sources per sr.
    predicted_signal_to_noise : float
    identified : bool
    theoretical : bool
        The wavelength is a theoretical one.
    """

    label: str
    wavelength: float
    probability: float
    flux: float
    flux_error: float
    predicted_signal_to_noise: float
    identified: bool
    theoretical: bool


@dataclass(frozen=True)
class PredictiveBand:
    """Posterior-predictive counts of one channel, summed over exposures.

    Attributes
    ----------
    wavelength : (N,) float32, Angstrom
    lower, median, upper : (N,) float32
        68 % band and median of the predicted counts.
    rebinned : int
        Bins of the data per bin of the band.
    """

    wavelength: FloatArray
    lower: FloatArray
    median: FloatArray
    upper: FloatArray
    rebinned: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that a stage set aside.

    Attributes
    ----------
    stage : str
    reason : str
        `malformed`, `invalid`, `unknown_instrument`, `crash`, ...
    detail : str
        One sentence a person can act on.
    topic, partition, offset : str, int, int
        Where the message stood.
    key, value, headers : bytes, bytes, dict of str to bytes
        The message as it came.
    attempts : int
    failed_at : datetime or None
        UTC.
    """

    stage: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    headers: dict[str, bytes] = field(repr=False)
    attempts: int
    failed_at: datetime | None


@dataclass(frozen=True)
class Result:
    """The answer for one spectrum, or for all epochs of a target.

    Attributes
    ----------
    id : str
    kind : str
        `single` or `joint`.
    target, instrument, name : str
    source : str
        `resolved` (EM in cm-5) or `star` (EM in cm-3 with a distance, else EM / 4 pi d2 in cm-5).
    fingerprints : tuple of str
        The spectra it is made of.
    observed_at, received_at, fitted_at : datetime or None
        UTC.
    plasma_model : str
        `isothermal` or `gaussian-dem`.
    rung : str
        How the answer was found: `nuts`, `importance`, `mode` or `network`.
    parameters : dict of str to Parameter
    lines : tuple of Line
    flags : tuple of str
        What to know before using it (`poorly_fitted`, `density_unconstrained`, ...).
    draws : structured array or None
        Posterior draws, one field per parameter; None in lists.
    predictive : dict of str to PredictiveBand
        By channel; empty in lists.
    diagnostics : dict of str to float
    versions : dict of str to str
        What made the result.
    annotations : dict of str to str
        The user's own, from the spectrum.
    superseded_by : str
        Id of the later result that replaced this one; empty where none did.
    observation : Spectrum or None
        The canonical data, where they were asked for.
    """

    id: str
    kind: str
    target: str
    instrument: str
    name: str
    source: str
    fingerprints: tuple[str, ...]
    observed_at: datetime | None
    received_at: datetime | None
    fitted_at: datetime | None
    plasma_model: str
    rung: str
    parameters: dict[str, Parameter]
    lines: tuple[Line, ...]
    flags: tuple[str, ...]
    draws: NDArray[np.void] | None
    predictive: dict[str, PredictiveBand]
    diagnostics: dict[str, float]
    versions: dict[str, str]
    annotations: dict[str, str]
    superseded_by: str = ""
    observation: Spectrum | None = field(default=None, repr=False)

    @property
    def log_temperature(self) -> Parameter:
        """log10 of the electron temperature in K."""
        return self.parameters["log_temperature"]

    @property
    def log_density(self) -> Parameter:
        """log10 of the electron density in cm-3. Look at `.constraint` before quoting it."""
        return self.parameters["log_density"]

    @property
    def log_emission_measure(self) -> Parameter:
        """log10 of the emission measure; `.unit` says of what."""
        return self.parameters["log_emission_measure"]

    @property
    def emission_measure(self) -> Parameter:
        """The emission measure itself, in cm-5 or cm-3: quantiles alone, whose logarithms were summarised."""
        log = self.log_emission_measure
        return replace(
            log,
            name="emission_measure",
            unit=log.unit.removeprefix("dex(").removesuffix(")"),
            median=10**log.median,
            lower=10**log.lower,
            upper=10**log.upper,
            lower95=10**log.lower95,
            upper95=10**log.upper95,
            mean=math.nan,
            standard_deviation=math.nan,
            limit=None if log.limit is None else 10**log.limit,
        )

    @property
    def identified_lines(self) -> tuple[Line, ...]:
        """The lines that are identified, by wavelength."""
        return tuple(sorted((line for line in self.lines if line.identified), key=lambda line: line.wavelength))

    def to_dict(self, arrays: bool = False) -> dict[str, Any]:
        """Return the result as JSON's own types; what is not finite becomes None.

        Parameters
        ----------
        arrays : bool
            Also the draws and the predictive bands.
        """
        skipped = {"observation"} if arrays else {"observation", "draws", "predictive"}
        return {name: _plain(value) for name, value in vars(self).items() if name not in skipped}


def _plain(value: Any) -> Any:
    match value:
        case np.ndarray() if value.dtype.names:
            return {name: _plain(value[name]) for name in value.dtype.names}
        case np.ndarray():
            return [_plain(item) for item in value.tolist()]
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return value.isoformat()
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case Parameter() | Line() | PredictiveBand():
            return {name: _plain(item) for name, item in vars(value).items()}
        case _:
            return value
