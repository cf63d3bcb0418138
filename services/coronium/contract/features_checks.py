"""Everything that must be true of observations and features before a stage works on them."""

from __future__ import annotations

import re

import numpy as np

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.limits import MAX_BINS, MAX_CHANNELS, MAX_GRID_NODES, MAX_LINES, MAX_NAME
from coronium.v1 import features_pb2, spectrum_pb2

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
"""SHA-256 in hexadecimal digits."""

# Far outside of these there is neither plasma nor atomic data.
_LOG_TEMPERATURE, _LOG_DENSITY = (3.0, 10.0), (0.0, 20.0)

# By how much probabilities that were added up in single precision may miss one.
_SUM = 1e-3


def check_identity(observation: spectrum_pb2.Observation) -> None:
    """Check that an observation says what it is.

    Raises
    ------
    InvalidSpectrum
        Its fingerprint is none, or its target is missing.
    """
    if not FINGERPRINT.fullmatch(observation.fingerprint) or not observation.spectrum.target:
        raise InvalidSpectrum(
            "The observation has no fingerprint or no target: publish spectra, ingestion makes observations."
        )


def check_features(features: features_pb2.Features) -> None:
    """Check what the network is said to have made of an observation; the observation itself is not looked at.

    Raises
    ------
    InvalidSpectrum
        The grid is no probability over log T and log n, or there is more of something than a network makes.
    """
    if len(features.network_version) > MAX_NAME or not features.network_version.isprintable():
        raise InvalidSpectrum(f"network_version is not at most {MAX_NAME} printable characters.")
    if len(features.lines) > MAX_LINES:
        raise InvalidSpectrum(f"The features have {len(features.lines)} lines, at most {MAX_LINES} are taken.")
    if len(features.denoised) > MAX_CHANNELS or any(len(one.counts) > MAX_BINS for one in features.denoised):
        raise InvalidSpectrum(f"The features denoise more than {MAX_CHANNELS} channels of {MAX_BINS} bins.")
    if features.network_version:
        _check_grid(features.grid)


def _check_grid(grid: features_pb2.GridPosterior) -> None:
    shape = len(grid.log_temperature), len(grid.log_density)
    if not all(2 <= nodes <= MAX_GRID_NODES for nodes in shape) or len(grid.probability) != shape[0] * shape[1]:
        raise InvalidSpectrum(
            f"The network's grid has {len(grid.probability)} probabilities for {shape[0]} x {shape[1]} nodes: "
            f"each axis needs 2 to {MAX_GRID_NODES}."
        )
    for axis, (low, high) in ((grid.log_temperature, _LOG_TEMPERATURE), (grid.log_density, _LOG_DENSITY)):
        nodes = np.array(axis)
        if not (low <= nodes[0] and nodes[-1] <= high and (np.diff(nodes) > 0).all()):
            raise InvalidSpectrum(
                f"An axis of the network's grid does not increase from no less than {low:g} to no more than {high:g}."
            )
    probability = np.array(grid.probability)
    if not (probability >= 0).all() or not abs(probability.sum() - 1.0) <= _SUM:
        raise InvalidSpectrum("The network's grid is no probability: its numbers are not positive with the sum one.")
