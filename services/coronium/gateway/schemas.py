"""What the gateway answers, as JSON. A number that is not finite is null."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class Interval(BaseModel):
    """A credible interval."""

    lower: float | None
    upper: float | None


class Parameter(BaseModel):
    """Marginal posterior of one parameter."""

    name: str = Field(examples=["log_temperature", "log_density", "log_emission_measure"])
    unit: str
    median: float | None
    mean: float | None
    standard_deviation: float | None
    interval68: Interval
    interval95: Interval
    constraint: str = Field(description="measured, upper_limit, lower_limit or unconstrained.")
    limit95: float | None = Field(description="The 95 % limit where the constraint is one.")
    prior_dominated: bool
    r_hat: float | None
    effective_sample_size: float | None


class Line(BaseModel):
    """An emission line, or a group closer than half the line width."""

    label: str = Field(examples=["O VII 21.602"])
    wavelength: float = Field(description="Angstrom.")
    probability: float | None
    flux: float | None = Field(description="Photons cm-2 s-1, per steradian for resolved sources.")
    flux_error: float | None
    predicted_signal_to_noise: float | None
    identified: bool
    theoretical: bool = Field(description="The wavelength is theoretical.")


class Band(BaseModel):
    """Posterior-predictive band of one channel, counts summed over exposures."""

    name: str
    wavelength: list[float | None] = Field(description="Angstrom.")
    lower: list[float | None]
    median: list[float | None]
    upper: list[float | None]
    rebinned: int = Field(description="Bins of the data per bin of the band.")


class Diagnostics(BaseModel):
    """How well the sampler and the model did."""

    max_r_hat: float | None
    min_effective_sample_size: float | None
    divergences: int
    pareto_k_hat: float | None
    log_evidence: float | None
    log_evidence_error: float | None
    statistic: float | None = Field(description="C-stat or chi-square at the posterior median.")
    expected_statistic: float | None
    statistic_deviation: float | None
    goodness_of_fit: float | None
    fit_seconds: float | None
    network_seconds: float | None
    modes: int
    mean_leapfrog_steps: float | None


class Versions(BaseModel):
    """What made a result."""

    software: str
    emissivity_table: str
    network: str
    instrument: str
    priors: str


class Result(BaseModel):
    """One posterior, without draws and predictive bands."""

    result_id: str
    kind: str = Field(description="single or joint.")
    target: str
    fingerprints: list[str]
    instrument: str
    source: str = Field(description="resolved or star.")
    name: str
    observed_at: datetime | None
    received_at: datetime | None
    fitted_at: datetime | None
    plasma_model: str = Field(description="isothermal or gaussian-dem.")
    rung: str = Field(description="network, mode, nuts or importance.")
    parameters: list[Parameter]
    lines: list[Line]
    diagnostics: Diagnostics
    versions: Versions
    flags: list[str]
    annotations: dict[str, str]


class ResultDetail(Result):
    """One posterior with its predictive bands."""

    predictive: list[Band]
    superseded_by: str | None = Field(description="Result id of a later result that replaced this one.")


class ResultPage(BaseModel):
    """One page of results, the newest first."""

    results: list[Result]
    next_page_token: str | None = Field(description="Pass as page_token for the next page; null on the last.")
    total: int = Field(description="Results that pass the filter, on all pages.")


class DrawTable(BaseModel):
    """Thinned draws of the joint posterior."""

    result_id: str
    names: list[str]
    draws: list[list[float | None]] = Field(description="One row per draw, one column per name.")


class DeadLetter(BaseModel):
    """A message that a stage set aside. The original bytes stay in the dead-letter topic."""

    stage: str
    reason: str
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    key: str
    size_bytes: int
    attempts: int
    failed_at: datetime | None


class DeadLetterPage(BaseModel):
    """One page of dead letters that no result has beaten, the newest first."""

    dead_letters: list[DeadLetter]
    next_page_token: str | None
    total: int


class Submitted(BaseModel):
    """An accepted spectrum."""

    fingerprint: str = Field(description="Ask for the result under it: /v1/results/{fingerprint}.")
    duplicate: bool = Field(description="The same data were seen before; they were accepted all the same.")


class Health(BaseModel):
    """Whether the gateway and the services behind it answer."""

    status: str
    results: str
    ingestion: str


class Problem(BaseModel):
    """Why a request was not answered, in one sentence."""

    detail: str
