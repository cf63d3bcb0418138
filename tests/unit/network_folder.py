"""Networks with random weights, written as files: what the tests need before anything was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from coronium.network.architecture import Architecture, SpectrumNetwork
from coronium.network.cube import canonical_grid
from coronium.network.weights import Meaning, save_network
from coronium.physics.instruments import get_instrument


def untrained_network(folder: Path, instrument: str, seed: int = 0, grid_digest: str | None = None) -> Path:
    """Write a small network of an instrument; return the path of its weights."""
    torch.manual_seed(seed)
    grid = canonical_grid(get_instrument(instrument))
    channels, bins = grid.shape
    network = SpectrumNetwork(Architecture(channels, bins, 3, 6, 4, stem=8, stages=((16, 1),), hidden=16))
    meaning = Meaning(
        instrument=instrument,
        grid_digest=grid_digest or grid.digest,
        log_temperature=np.linspace(6.0, 7.0, 6),
        log_density=np.linspace(9.0, 11.0, 4),
        line_label=("Fe XII 186.880+", "Fe XII 192.394", "Ca XV 200.972"),
        line_wavelength=np.array([186.88, 192.394, 200.972]),
    )
    return save_network(network, meaning, {"settings": {}}, folder)
