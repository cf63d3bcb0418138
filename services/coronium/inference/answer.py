"""What a fit answers: the posterior of one spectrum, how it was found, and what a reader must know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from coronium.inference.evidence import RELIABLE_K_HAT
from coronium.inference.lines import Line
from coronium.inference.predictive import Band
from coronium.inference.summaries import Constraint, Summary
from coronium.inference.walk import LEAST_EFFECTIVE, WORST_R_HAT
from coronium.physics.spectrum import Spectrum

MULTIMODAL_SHARE = 0.05
MOST_STRAYED = 0.05
"""Share of a chain's draws that may lie nearer to another mode than to its own."""
POOR_FIT = 3.0
"""Standard deviations between the statistic and its posterior-predictive expectation."""
POOR_ERROR = 0.05
"""Relative error of the model, inferred from the data, from which on a misfit is a poor fit."""


class Plasma(StrEnum):
    """Temperature structure."""

    ISOTHERMAL = "isothermal"
    GAUSSIAN_DEM = "gaussian-dem"


class Rung(StrEnum):
    """How far up the ladder of inference to go."""

    MODE = "mode"
    NUTS = "nuts"


class Flag(StrEnum):
    """What a reader must know before using a result."""

    OUT_OF_RANGE = "out_of_range"
    POORLY_FITTED = "poorly_fitted"
    DENSITY_UNCONSTRAINED = "density_unconstrained"
    TEMPERATURE_UNCONSTRAINED = "temperature_unconstrained"
    NOT_CONVERGED = "not_converged"
    EVIDENCE_UNRELIABLE = "evidence_unreliable"
    MULTIMODAL = "multimodal"
    TRIAGE = "triage"
    NO_NETWORK = "no_network"
    NO_SIGNAL = "no_signal"


@dataclass(frozen=True)
class Diagnostics:
    """How well the sampler and the model did; see the protobuf message of the same name."""

    max_r_hat: float
    min_effective_sample_size: float
    divergences: int
    pareto_k_hat: float
    log_evidence: float
    log_evidence_error: float
    statistic: float
    expected_statistic: float
    statistic_deviation: float
    goodness_of_fit: float
    fit_seconds: float
    modes: int
    mean_leapfrog_steps: float


@dataclass(frozen=True)
class FitResult:
    """The posterior of one spectrum.

    Attributes
    ----------
    parameters : tuple of Summary
    draws : (S, P) with `draw_names`
        Thinned.
    unknowns : (S, D)
        Draws of the whole vector, in the order of the model's names; what is quoted comes from these.
    """

    spectrum: Spectrum
    plasma: Plasma
    rung: Rung
    parameters: tuple[Summary, ...]
    lines: tuple[Line, ...]
    draw_names: tuple[str, ...]
    draws: NDArray[np.float32]
    predictive: tuple[Band, ...]
    diagnostics: Diagnostics
    flags: tuple[Flag, ...]
    versions: dict[str, str]
    unknowns: NDArray[np.float64] = field(repr=False)

    def __getitem__(self, name: str) -> Summary:
        """Summary of one parameter by name."""
        for summary in self.parameters:
            if summary.name == name:
                return summary
        raise KeyError(name)


def find_flags(
    summaries: list[Summary],
    diagnostics: Diagnostics,
    shares: NDArray[np.float64],
    strayed: float,
    no_network: bool,
    rung: Rung,
) -> tuple[Flag, ...]:
    """What a reader must know.

    Parameters
    ----------
    shares : (J,)
        Of the posterior, that the modes hold.
    strayed : float
        See `mode_choice.strayed`.
    """
    d, by_name = diagnostics, {s.name: s for s in summaries}
    log_t, log_n = by_name["log_temperature"], by_name["log_density"]
    excess = (d.statistic - d.expected_statistic) / d.statistic_deviation
    errs = by_name["model_error"].median > POOR_ERROR
    mixed = d.max_r_hat < WORST_R_HAT and d.min_effective_sample_size > LEAST_EFFECTIVE and strayed <= MOST_STRAYED
    raised = {
        Flag.OUT_OF_RANGE: log_t.constraint in (Constraint.UPPER_LIMIT, Constraint.LOWER_LIMIT),
        Flag.POORLY_FITTED: excess < -POOR_FIT or (excess > POOR_FIT and errs),
        Flag.DENSITY_UNCONSTRAINED: log_n.constraint is Constraint.UNCONSTRAINED,
        Flag.TEMPERATURE_UNCONSTRAINED: log_t.constraint is Constraint.UNCONSTRAINED,
        Flag.NOT_CONVERGED: rung is Rung.NUTS and not mixed,
        Flag.EVIDENCE_UNRELIABLE: not d.pareto_k_hat < RELIABLE_K_HAT,
        Flag.MULTIMODAL: np.sort(shares)[-2] > MULTIMODAL_SHARE,
        Flag.TRIAGE: rung is Rung.MODE,
        Flag.NO_NETWORK: no_network,
        Flag.NO_SIGNAL: by_name["log_emission_measure_iron"].prior_dominated,
    }
    return tuple(flag for flag, up in raised.items() if up)
