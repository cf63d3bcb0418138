"""The files of trained networks: which there are, and whether they are what was recorded. Needs no torch.

`<instrument>.safetensors` holds tensors in half precision and, in its header, everything a prediction needs
beside them. `<instrument>.json` holds the file's SHA-256, the training record, and the record's own SHA-256. The
version of a network is the beginning of the first.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

SHIPPED = Path(__file__).parent / "data"
VERSION_LENGTH = 16


class WeightsError(Exception):
    """The weights of a network cannot be used; the message is one sentence that says what to do."""


def known_instruments(folder: Path | None = None) -> list[str]:
    """Names of the instruments that have a network.

    Raises
    ------
    WeightsError
        When the folder holds none at all.
    """
    folder = folder or SHIPPED
    names = sorted({path.stem for pattern in ("*.json", "*.safetensors") for path in folder.glob(pattern)})
    if not names:
        raise WeightsError(f"there are no network weights in {folder}: {advice('INSTRUMENT')}")
    return names


def write_network(content: bytes, instrument: str, record: dict, folder: Path) -> Path:
    """Write weights and training record; return the path of the weights.

    Parameters
    ----------
    content : bytes
        Safetensors.
    instrument : str
    record : dict
        How the network was trained and how well it did; JSON.
    folder : path
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{instrument}.safetensors"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    sidecar = {"sha256": digest, "training": record, "training_sha256": _record_digest(record)}
    path.with_suffix(".json").write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
    return path


def read_network(instrument: str, folder: Path | None = None) -> tuple[bytes, str]:
    """Read weights and compare them with their recorded hash.

    Returns
    -------
    content : bytes
    version : str
        The first `VERSION_LENGTH` hexadecimal digits of its SHA-256.

    Raises
    ------
    WeightsError
        When a file is missing, unreadable or not the recorded one.
    """
    path = (folder or SHIPPED) / f"{instrument}.safetensors"
    recorded = _sidecar(instrument, folder)["sha256"]
    try:
        content = path.read_bytes()
    except OSError:
        raise WeightsError(f"the network weights {path} are missing: {advice(instrument)}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != recorded:
        raise WeightsError(
            f"the network weights {path} are corrupt, their SHA-256 is not the recorded one: {advice(instrument)}"
        )
    return content, digest[:VERSION_LENGTH]


def training_record(instrument: str, folder: Path | None = None) -> dict:
    """Return how a network was trained.

    Raises
    ------
    WeightsError
        When the record is missing or cannot be read.
    """
    return _sidecar(instrument, folder)["training"]


def combined_version(folder: Path | None = None) -> str:
    """Return one hash over all networks of a folder, every file checked.

    Raises
    ------
    WeightsError
        When a file is missing, unreadable or not the recorded one.
    """
    versions = [f"{name}:{read_network(name, folder)[1]}" for name in known_instruments(folder)]
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:VERSION_LENGTH]


def advice(instrument: str) -> str:
    """Say what to do about weights that cannot be used."""
    return f"reinstall coronium, or train with `coronium train --instrument {instrument}`"


def _sidecar(instrument: str, folder: Path | None) -> dict:
    path = (folder or SHIPPED) / f"{instrument}.json"
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(sidecar, dict) or not {"sha256", "training", "training_sha256"} <= sidecar.keys():
            raise ValueError("there is no hash in it")
        if sidecar["training_sha256"] != _record_digest(sidecar["training"]):
            raise ValueError("its SHA-256 is not the recorded one")
        return sidecar
    except FileNotFoundError:
        raise WeightsError(f"the record {path} of the network weights is missing: {advice(instrument)}") from None
    except (OSError, ValueError) as fault:
        raise WeightsError(f"the record {path} cannot be read ({fault}): {advice(instrument)}") from None


def _record_digest(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
