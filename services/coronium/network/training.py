"""Train the network of an instrument on simulated spectra."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coronium.network.dataset import TrainingSet, simulate
from coronium.network.learning import (
    BATCH,
    DENSITY_CELLS,
    LEARNING_RATE,
    TEMPERATURE_CELLS,
    WEIGHT_DECAY,
    Scores,
    Selection,
    Trainer,
    cells,
    evaluate,
)
from coronium.network.weights import Meaning, device_of, save_network
from coronium.physics.instruments import get_instrument

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.05
"""The mission's split is 80/20; a part of the 80 decides when to stop, so that the 20 are never looked at."""
PATIENCE = 5


def train(
    instrument: str,
    output: Path,
    count: int = 10_000,
    epochs: int = 8,
    seed: int = 1,
    device: str = "cpu",
    cache: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Simulate a training set, train, and write weights and training record.

    Parameters
    ----------
    instrument : str
        Name of a preset.
    output : path
        Folder of the weights.
    count : int
        Simulated spectra; a fifth is held out.
    epochs : int
        Most passes over the training set, each with new noise.
    seed : int
        Of everything random: the same seed gives the same network on the same machine and library versions.
    device : str
        `cpu` or a CUDA device.
    cache : path, optional
        Folder where the simulated spectra are kept, so that a training can be started again.
    quiet : bool
        Without progress bars.

    Returns
    -------
    path
        Of the weights.
    """
    where = device_of(device)
    begun = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), disable=quiet) as progress:
        bar = progress.add_task(f"{instrument}: simulating", total=count, note="")
        data = simulate(
            get_instrument(instrument), count, seed, lambda done: progress.update(bar, completed=done), cache
        )
        simulated = time.monotonic()
        fitting, validation, test = split(data, seed)
        trainer = Trainer(data, fitting, epochs, seed, where)
        bar = progress.add_task(f"{instrument}: training", total=epochs, note="")
        history: list[dict] = []
        best, best_state = -np.inf, trainer.state()
        for epoch in range(epochs):
            loss = trainer.epoch()
            scores = evaluate(trainer.network, data, validation, where)
            history.append({"epoch": epoch + 1, "loss": round(loss, 4), **_rounded(scores)})
            note = f"+{scores.log_score_gain:.2f} nats, lines {scores.line_average_precision:.2f}"
            progress.update(bar, advance=1, note=note)
            if scores.log_score_gain > best:
                best, best_state = scores.log_score_gain, trainer.state()
            elif epoch + 1 - max(history, key=lambda h: h["log_score_gain"])["epoch"] >= PATIENCE:
                break
    trainer.network.load_state_dict(best_state)
    record = {
        "instrument": instrument,
        "settings": {
            "count": count,
            "epochs": epochs,
            "seed": seed,
            "device": where.type,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
        },
        "architecture": asdict(trainer.network.architecture),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "spectra": {
            "fitted": sum(map(len, fitting)),
            "validation": sum(map(len, validation)),
            "held_out": sum(map(len, test)),
        },
        "held_out": _rounded(evaluate(trainer.network, data, test, where)),
        "history": history,
        "seconds": {
            "simulation": round(simulated - begun, 1),
            "training": round(time.monotonic() - simulated, 1),
        },
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "commit": _commit(),
    }
    return save_network(trainer.network, meaning_of(data), record, output)


def meaning_of(data: TrainingSet) -> Meaning:
    """Return what the outputs of a network trained on a set stand for."""
    return Meaning(
        instrument=data.grid.instrument,
        grid_digest=data.grid.digest,
        log_temperature=cells(data.log_temperature, TEMPERATURE_CELLS),
        log_density=cells(data.log_density, DENSITY_CELLS),
        line_label=data.line_label,
        line_wavelength=data.line_wavelength,
    )


def split(data: TrainingSet, seed: int) -> tuple[Selection, Selection, Selection]:
    """Spectra to fit, to decide when to stop, and to hold out."""
    rng = np.random.default_rng([seed, 1])
    chosen: tuple[list[np.ndarray], ...] = ([], [], [])
    for part in data.parts:
        order = rng.permutation(len(part))
        held_out, validated = (int(len(part) * share) for share in (TEST_SHARE, TEST_SHARE + VALIDATION_SHARE))
        for selected, indices in zip(
            chosen, (order[validated:], order[held_out:validated], order[:held_out]), strict=True
        ):
            selected.append(indices)
    fitting, validation, test = map(tuple, chosen)
    return fitting, validation, test


def _rounded(scores: Scores) -> dict[str, float | None]:
    """Scores as JSON; null where too few spectra were bright enough to tell."""
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in scores._asdict().items()}


def _commit() -> str:
    """Commit of the code, where it is run from a repository."""
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()
