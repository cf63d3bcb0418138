"""The results of a demonstration, read back from its results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STAR, RASTER = "capella", "sun/"

Record = Mapping[str, Any]
"""A result as `Result.to_dict()` has it."""


class SkyError(Exception):
    """The file of results does not serve; the message is one sentence."""


@dataclass(frozen=True)
class SkyResults:
    """The results of a demonstration.

    Attributes
    ----------
    cube : Record
        Of all of Capella's exposures together.
    exposures : list of Record
        Of Capella's exposures one by one.
    raster : list of Record
        Of the macropixels.
    """

    cube: Record
    exposures: list[Record]
    raster: list[Record]


def read_results(path: Path) -> SkyResults:
    """Read a demonstration's results.json.

    Raises
    ------
    SkyError
        Not such a file, or without Capella's cube.
    """
    try:
        records = json.loads(path.read_text())["results"]
        valid = [record for record in records if not record["superseded_by"]]
        star = [record for record in valid if record["target"] == STAR]
        observations = [len(record["annotations"].get("obsid", "").split()) for record in star]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise SkyError(
            f"{path} is not the results.json of `coronium demo` ({type(fault).__name__}: {fault})."
        ) from None
    cubes = [record for record, count in zip(star, observations, strict=True) if count > 1]
    if not cubes:
        raise SkyError(f"{path} has no result of Capella's exposures together.")
    # A temperature distribution is nearer to the star than one temperature, where both were fitted.
    cube = max(cubes, key=lambda record: (record["plasma_model"] == "gaussian-dem", record["fitted_at"] or ""))
    return SkyResults(
        cube=cube,
        exposures=[record for record, count in zip(star, observations, strict=True) if count == 1],
        raster=[record for record in valid if record["target"].startswith(RASTER)],
    )


def interval95(parameter: Record) -> tuple[float, float]:
    """Return the 95 % interval that may be quoted: open on one side where the constraint is a limit."""
    match parameter["constraint"]:
        case "upper_limit":
            return -np.inf, parameter["limit"]
        case "lower_limit":
            return parameter["limit"], np.inf
        case _:
            return parameter["lower95"], parameter["upper95"]


def temperature_of(record: Record) -> Record:
    """Return the emission-weighted log T, which for an isothermal plasma is log T itself."""
    parameters = record["parameters"]
    return parameters.get("emission_weighted_log_temperature", parameters["log_temperature"])


def misfit(record: Record) -> float:
    """Standard deviations between a result's statistic and its posterior-predictive expectation."""
    found = record["diagnostics"]
    deviation = found["statistic_deviation"]
    return abs(found["statistic"] - found["expected_statistic"]) / deviation if deviation else 0.0
