"""What travels between the stage and its worker process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitJob:
    """Features to fit, serialised: cheap to hand to another process."""

    features: bytes


@dataclass(frozen=True)
class Fitted:
    """A posterior and its measurements.

    Attributes
    ----------
    posterior : bytes, serialised
    target, fingerprint, result_id : str
    instrument, rung : str
    flags : tuple of str
    constraints : dict, by parameter
    numbers : dict, measurements by name of the diagnostics
    identified_lines : int
    """

    posterior: bytes
    target: str
    fingerprint: str
    result_id: str
    instrument: str
    rung: str
    flags: tuple[str, ...]
    constraints: dict[str, str]
    numbers: dict[str, float]
    identified_lines: int
