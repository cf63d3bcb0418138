"""A trained network in memory and as safetensors, with the meaning of its outputs in the header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from coronium.network.architecture import Architecture, SpectrumNetwork
from coronium.network.files import WeightsError, advice, read_network, write_network
from coronium.physics.spectrum import FloatArray

_HEADER = "coronium"


@dataclass(frozen=True, eq=False)
class Meaning:
    """What the outputs of a network stand for.

    Attributes
    ----------
    instrument : str
    grid_digest : str
        `CanonicalGrid.digest` of the grid it was trained on.
    log_temperature, log_density : (T,), (N,)
        Cell centres of the grid posterior, log10 K and log10 cm-3.
    line_label : tuple of str
    line_wavelength : (G,) Angstrom
    """

    instrument: str
    grid_digest: str
    log_temperature: FloatArray
    log_density: FloatArray
    line_label: tuple[str, ...]
    line_wavelength: FloatArray


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network with its meaning and its version."""

    network: SpectrumNetwork
    meaning: Meaning
    version: str


def save_network(network: SpectrumNetwork, meaning: Meaning, record: dict, folder: Path) -> Path:
    """Write a network in half precision with its training record; return the path of the weights."""
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
    spelt = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(meaning).items()}
    header = {"architecture": asdict(network.architecture), "meaning": spelt}
    return write_network(save(tensors, metadata={_HEADER: json.dumps(header)}), meaning.instrument, record, folder)


def load_network(instrument: str, folder: Path | None = None) -> TrainedNetwork:
    """Read a network, in single precision and evaluation mode.

    Parameters
    ----------
    instrument : str
    folder : path, optional
        Default: the weights that ship with the package.

    Raises
    ------
    WeightsError
        When a file is missing, unreadable or not the recorded one.
    """
    content, version = read_network(instrument, folder)
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
        sizes = header["architecture"]
        sizes["stages"] = tuple(tuple(stage) for stage in sizes["stages"])
        network = SpectrumNetwork(Architecture(**sizes))
        network.load_state_dict({name: value.float() for name, value in load(content).items()})
        meaning = header["meaning"]
        for key in ("log_temperature", "log_density", "line_wavelength"):
            meaning[key] = np.array(meaning[key])
        meaning["line_label"] = tuple(meaning["line_label"])
        return TrainedNetwork(network.eval().requires_grad_(False), Meaning(**meaning), version)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as fault:
        raise WeightsError(
            f"the network weights of {instrument} cannot be read ({str(fault).splitlines()[0]}): {advice(instrument)}"
        ) from None


def device_of(name: str) -> torch.device:
    """Return the device of that name (`cpu`, `cuda`, `cuda:1`).

    Raises
    ------
    ValueError
        When PyTorch does not know it or does not find it here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{name!r} is no device: use cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but PyTorch finds no CUDA device here: use cpu")
    return device
