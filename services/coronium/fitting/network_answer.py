"""The lowest rung: what the network says of a spectrum, as a result that any fit replaces.

For a flood, when an operator caps the cost, and for drills of the stream. Never an answer: it carries the
triage flag, identifies no line and has neither evidence nor goodness of fit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coronium.contract.identity import random_seed
from coronium.fit import Flag, StartMap
from coronium.fitting.message_size import limit_size
from coronium.fitting.messages import add_parameters, heading
from coronium.inference.results import UNIFORM_SD
from coronium.inference.summaries import Constraint, Summary, summarise
from coronium.physics.parameters import Priors
from coronium.v1 import features_pb2, posterior_pb2

DRAWS = 256
NAMES = ("log_temperature", "log_density")
UNITS = ("dex(K)", "dex(cm-3)")


def network_posterior(
    features: features_pb2.Features, versions: posterior_pb2.ModelVersions, found: StartMap | None, priors: Priors
) -> posterior_pb2.Posterior:
    """Write the network's grid as a posterior of log T and log n.

    Parameters
    ----------
    features : Features
    versions : ModelVersions
        With which a fit of the same spectrum would be made: it gets the same id and takes this one's place.
    found : StartMap or None
        The grid; where there is none, the prior is what is known.
    priors : Priors
    """
    bounds = (priors.log_temperature, priors.log_density)
    flags = [Flag.TRIAGE]
    message = heading(features, versions, posterior_pb2.RUNG_NETWORK, flags)
    rng = np.random.default_rng(random_seed(message.result_id))
    if found is None:
        flags.append(Flag.NO_NETWORK)
        draws = np.stack([rng.uniform(low, high, DRAWS) for low, high in bounds], axis=1)
    else:
        draws = _draw(found, bounds, rng)
    summaries = [
        summarise(name, unit, column, float(UNIFORM_SD * np.ptp(interval)), interval)
        for name, unit, column, interval in zip(NAMES, UNITS, draws.T, bounds, strict=True)
    ]
    flags += _constraint_flags(summaries)
    message.flags[:] = [posterior_pb2.Flag.Value(f"FLAG_{flag.name}") for flag in flags]
    add_parameters(message, summaries)
    for line in features.lines:
        message.lines.add(label=line.label, wavelength=line.wavelength, probability=line.probability)
    message.draws.names.extend(NAMES)
    message.draws.values.extend(draws.astype(np.float32).ravel().tolist())
    message.diagnostics.network_seconds = features.network_seconds
    limit_size(message)
    return message


def _draw(found: StartMap, bounds: tuple[tuple[float, float], ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws of the grid (S, 2), even within each of its cells."""
    weights = found.probability.ravel() / found.probability.sum()
    cells = np.unravel_index(rng.choice(weights.size, DRAWS, p=weights), found.probability.shape)
    columns = []
    for nodes, cell, (low, high) in zip((found.log_temperature, found.log_density), cells, bounds, strict=True):
        edges = np.clip([low, *((a + b) / 2 for a, b in pairwise(nodes)), high], low, high)
        columns.append(rng.uniform(edges[cell], edges[cell + 1]))
    return np.stack(columns, axis=1)


def _constraint_flags(summaries: list[Summary]) -> list[Flag]:
    temperature, density = (summary.constraint for summary in summaries)
    raised = {
        Flag.OUT_OF_RANGE: temperature in (Constraint.UPPER_LIMIT, Constraint.LOWER_LIMIT),
        Flag.TEMPERATURE_UNCONSTRAINED: temperature is Constraint.UNCONSTRAINED,
        Flag.DENSITY_UNCONSTRAINED: density is Constraint.UNCONSTRAINED,
    }
    return [flag for flag, up in raised.items() if up]
