"""One step after the other: noisy batches, the loss, the optimiser, and scores on spectra kept apart."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from coronium.network.architecture import Architecture, Output, SpectrumNetwork
from coronium.network.dataset import TrainingSet, realise
from coronium.network.encoding import Batch, Encoded, area_of, encode
from coronium.network.scores import average_precision, cell_of, log_score_gain
from coronium.physics.spectrum import FloatArray

TEMPERATURE_CELLS, DENSITY_CELLS = 32, 16
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.02
LINE_WEIGHT = 4.0
BRIGHT_ENOUGH = 4.0
"""S/N from which the lines of a spectrum are scored."""
SHORT = 100
"""Channels of fewer bins are narrow windows, whose lines need the finer first convolution."""

Selection = tuple[np.ndarray, ...]
"""Indices of some spectra in each part of a training set."""


class Scores(NamedTuple):
    """How well a network does on spectra it was not trained on.

    Attributes
    ----------
    spectra : int
    log_score_gain : nats over the prior, mean
    line_average_precision, line_prevalence : pooled over lines and spectra with S/N >= 4
    denoising_error : Poisson deviance per count of the source, mean
    """

    spectra: int
    log_score_gain: float
    line_average_precision: float
    line_prevalence: float
    denoising_error: float


def cells(bounds: tuple[float, float], count: int) -> FloatArray:
    """Centres of equal cells between two bounds, (count,)."""
    edges = np.linspace(*bounds, count + 1)
    return 0.5 * (edges[1:] + edges[:-1])


class _Target(NamedTuple):
    row: Tensor
    column: Tensor
    lines: Tensor
    source: Tensor


def _batches(
    data: TrainingSet,
    selection: Selection,
    rng: np.random.Generator,
    device: torch.device,
    shuffled: bool,
) -> Iterator[tuple[Encoded, _Target, FloatArray]]:
    """Noisy batches, encoded, with what is to be predicted and the true S/N; shuffled ones lose channels."""
    area = area_of(data.grid.area, device)
    pieces: list[tuple[int, np.ndarray]] = []
    for number, indices in enumerate(selection):
        order = rng.permutation(indices) if shuffled else indices
        pieces.extend((number, order[start : start + BATCH]) for start in range(0, len(order), BATCH))
    if shuffled:
        pieces = [pieces[i] for i in rng.permutation(len(pieces))]
    nodes_t, nodes_n = cells(data.log_temperature, TEMPERATURE_CELLS), cells(data.log_density, DENSITY_CELLS)
    for number, index in pieces:
        drawn = data.parts[number].take(index)
        noisy = realise(data, drawn, rng, drop_channels=shuffled)
        batch = Batch(*(torch.from_numpy(a).to(device) for a in noisy[: len(Batch._fields)]))
        target = _Target(
            row=torch.from_numpy(cell_of(drawn.log_temperature, nodes_t)).to(device),
            column=torch.from_numpy(cell_of(drawn.log_density, nodes_n)).to(device),
            lines=torch.from_numpy(noisy.lines.astype(np.float32)).to(device),
            # The source behind the bins in use: what a perfectly denoised spectrum is.
            source=(torch.from_numpy(noisy.source).to(device) * batch.mask).sum(1),
        )
        yield encode(batch, area), target, drawn.signal_to_noise


def denoising_deviance(output: Output, encoded: Encoded, target: _Target) -> Tensor:
    """Poisson deviance of the denoised from the true source, per count of the latter, (n,)."""
    expected = encoded.unit * output.denoised
    true = target.source.clamp(min=0.0)
    ratio = torch.log(true.clamp(min=1e-20) / expected.clamp(min=1e-20))
    deviance = torch.where(encoded.unit > 0, expected - true + torch.where(true > 0, true * ratio, 0.0), 0.0)
    return deviance.sum((1, 2)) / true.sum((1, 2)).clamp(min=1e-6)


class Trainer:
    """Network and optimiser between epochs.

    Parameters
    ----------
    data : TrainingSet
    fitting : Selection
    epochs : int
        That the learning rate falls over.
    seed : int
    device : torch.device
    """

    def __init__(self, data: TrainingSet, fitting: Selection, epochs: int, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self._data, self._fitting, self._device = data, fitting, device
        self._rng = np.random.default_rng([seed, 2])
        channels, bins = data.grid.shape
        self.network = SpectrumNetwork(
            Architecture(
                channels=channels,
                bins=bins,
                lines=len(data.line_label),
                temperatures=TEMPERATURE_CELLS,
                densities=DENSITY_CELLS,
                stride=2 if bins < SHORT else 4,
            )
        ).to(device)
        self._standardise()
        self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        batches = sum(-(-len(i) // BATCH) for i in fitting)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, max_lr=LEARNING_RATE, total_steps=epochs * batches + 1, pct_start=0.15
        )

    def _standardise(self) -> None:
        some = tuple(i[: 4 * BATCH] for i in self._fitting)
        rng = np.random.default_rng(0)
        scalars = torch.cat([encoded.scalars for encoded, *_ in _batches(self._data, some, rng, self._device, False)])
        self.network.scalar_mean.copy_(scalars.mean(0))
        self.network.scalar_sd.copy_(scalars.std(0).clamp(min=1e-3))

    def state(self) -> dict[str, Tensor]:
        """Copy of the weights."""
        return copy.deepcopy(self.network.state_dict())

    def epoch(self) -> float:
        """Train on every spectrum once; return the mean loss."""
        self.network.train()
        losses = []
        for encoded, target, _ in _batches(self._data, self._fitting, self._rng, self._device, True):
            output = self.network(encoded)
            grid = -output.grid[torch.arange(len(target.row)), target.row, target.column].mean()
            lines = functional.binary_cross_entropy_with_logits(output.lines, target.lines)
            loss = grid + LINE_WEIGHT * lines + denoising_deviance(output, encoded, target).clamp(max=20.0).mean()
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
            self._optimiser.step()
            self._schedule.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))


def evaluate(network: SpectrumNetwork, data: TrainingSet, selection: Selection, device: torch.device) -> Scores:
    """Score a network on some spectra, whose noise is the same at every call."""
    network.eval()
    gains, probability, present, deviance = [], [], [], []
    with torch.inference_mode():
        for encoded, target, snr in _batches(data, selection, np.random.default_rng(7), device, False):
            output = network(encoded)
            row, column = target.row.cpu().numpy(), target.column.cpu().numpy()
            gains.append(log_score_gain(output.grid.exp().cpu().numpy(), row, column))
            bright = snr >= BRIGHT_ENOUGH
            probability.append(output.lines.sigmoid().cpu().numpy()[bright])
            present.append(target.lines.cpu().numpy()[bright] > 0)
            deviance.append(denoising_deviance(output, encoded, target).cpu().numpy())
    found = np.concatenate(present)
    return Scores(
        spectra=sum(map(len, selection)),
        log_score_gain=float(np.concatenate(gains).mean()),
        line_average_precision=average_precision(np.concatenate(probability).ravel(), found.ravel()),
        line_prevalence=float(found.mean()) if found.size else float("nan"),
        denoising_error=float(np.concatenate(deviance).mean()),
    )
