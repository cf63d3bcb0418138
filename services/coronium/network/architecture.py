"""The network: a residual 3-D convolutional trunk over [exposure, channel, wavelength] and three heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from coronium.network.encoding import PLANES, SCALARS, Encoded

STEM_WIDTH = 9
"""Bins that the first convolution sees: a little more than a line."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network; stored with its weights.

    Attributes
    ----------
    channels, bins : int
        C and N of the canonical grid.
    lines : int
        Number G of line groups.
    temperatures, densities : int
        Cells of the grid posterior.
    stem : int
        Feature maps after the first convolution.
    stride : int
        Bins that the first convolution moves on by.
    stages : tuple of (maps, blocks)
        Each stage halves the wavelength axis.
    squeezed : int
        Feature maps that the heads see of each place.
    hidden : int
    components : int
        Component spectra that the denoised spectrum is composed of.
    dropout : float
    """

    channels: int
    bins: int
    lines: int
    temperatures: int
    densities: int
    stem: int = 32
    stride: int = 4
    stages: tuple[tuple[int, int], ...] = ((64, 1), (64, 1))
    squeezed: int = 12
    hidden: int = 224
    components: int = 48
    dropout: float = 0.1

    def reduced_bins(self) -> int:
        """Bins that are left of the wavelength axis after stem and stages."""
        bins = -(-self.bins // self.stride)
        for _ in self.stages:
            bins = -(-bins // 2)
        return bins


class Output(NamedTuple):
    """What the heads say.

    Attributes
    ----------
    grid : (n, temperatures, densities) log probability
    lines : (n, G) logits
    denoised : (n, C, N) the source's rate over `Encoded.rate`
    """

    grid: Tensor
    lines: Tensor
    denoised: Tensor


class Gate(nn.Module):
    """Chooses, bin by bin, between a composed spectrum and the data themselves.

    A composition of learned spectra removes the noise of faint data, but cannot follow every real plasma to the
    precision of bright ones; where data and composition differ by more than the noise, the data win.

    Parameters
    ----------
    maps : int
    """

    def __init__(self, maps: int = 8) -> None:
        super().__init__()
        across = (0, STEM_WIDTH // 2)
        self.weigh = nn.Sequential(
            nn.Conv2d(3, maps, (1, STEM_WIDTH), padding=across),
            nn.SiLU(),
            nn.Conv2d(maps, 1, (1, STEM_WIDTH), padding=across),
        )

    def forward(self, composed: Tensor, encoded: Encoded) -> Tensor:
        """Rates (n, C, N) over `Encoded.rate`."""
        noise = torch.sqrt(encoded.variance)
        deviation = torch.asinh((encoded.excess - encoded.unit * composed) / noise)
        seen = (encoded.unit > 0).float()
        inputs = torch.stack([deviation * seen, torch.asinh(encoded.excess / noise), seen], dim=1)
        trust = self.weigh(inputs)[:, 0].sigmoid() * seen
        observed = encoded.excess.clamp(min=0) / encoded.unit.clamp(min=1e-30) * seen
        return (1.0 - trust) * composed + trust * observed


class Bottleneck(nn.Module):
    """Residual block: 1x1x1 - 3x3x3 - 1x1x1 (He et al. 2016, CVPR, arXiv:1512.03385, fig. 5 right)."""

    def __init__(self, maps_in: int, maps: int, stride: int) -> None:
        super().__init__()
        middle = maps // 4
        self.body = nn.Sequential(
            nn.Conv3d(maps_in, middle, 1, bias=False),
            _norm(middle),
            nn.SiLU(),
            nn.Conv3d(middle, middle, 3, stride=(1, 1, stride), padding=1, bias=False),
            _norm(middle),
            nn.SiLU(),
            nn.Conv3d(middle, maps, 1, bias=False),
            _norm(maps),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or maps_in != maps:
            self.shortcut = nn.Conv3d(maps_in, maps, 1, stride=(1, 1, stride), bias=False)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, maps_in, E, C, N) to (n, maps, E, C, N / stride)."""
        return self.activation(self.body(x) + self.shortcut(x))


def _norm(maps: int) -> nn.GroupNorm:
    # Unlike batch statistics these do not depend on what else is in the batch.
    return nn.GroupNorm(max(1, maps // 8), maps)


class SpectrumNetwork(nn.Module):
    """Trunk and heads.

    Parameters
    ----------
    architecture : Architecture
    """

    scalar_mean: Tensor
    scalar_sd: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.register_buffer("scalar_mean", torch.zeros(len(SCALARS)))
        self.register_buffer("scalar_sd", torch.ones(len(SCALARS)))
        trunk: list[nn.Module] = [
            nn.Conv3d(len(PLANES), a.stem, (1, 1, STEM_WIDTH), (1, 1, a.stride), (0, 0, STEM_WIDTH // 2), bias=False),
            _norm(a.stem),
            nn.SiLU(),
        ]
        maps = a.stem
        for width, blocks in a.stages:
            for block in range(blocks):
                trunk.append(Bottleneck(maps, width, stride=2 if block == 0 else 1))
                maps = width
        self.trunk = nn.Sequential(*trunk)
        self.squeeze = nn.Sequential(nn.Conv2d(maps, a.squeezed, 1), nn.SiLU())
        places = a.squeezed * a.channels * a.reduced_bins()
        self.gather = nn.Sequential(
            nn.Dropout(a.dropout),
            nn.Linear(places + len(SCALARS), a.hidden),
            nn.LayerNorm(a.hidden),
            nn.SiLU(),
        )
        self.mix = nn.Sequential(nn.Dropout(a.dropout), nn.Linear(a.hidden, a.hidden), nn.SiLU())
        self.grid = nn.Linear(a.hidden, a.temperatures * a.densities)
        self.lines = nn.Linear(a.hidden, a.lines)
        self.composition = nn.Linear(a.hidden, a.components)
        self.components = nn.Linear(a.components, a.channels * a.bins)
        self.gate = Gate()

    def forward(self, encoded: Encoded) -> Output:
        """Run trunk and heads; see `Output`."""
        a = self.architecture
        # Exposures share the plasma: their mean is what the heads need, whatever their number.
        places = self.squeeze(self.trunk(encoded.planes).mean(2)).flatten(1)
        scalars = (encoded.scalars - self.scalar_mean) / self.scalar_sd
        hidden = self.gather(torch.cat([places, scalars], dim=1))
        hidden = hidden + self.mix(hidden)
        grid = self.grid(hidden).log_softmax(-1).reshape(-1, a.temperatures, a.densities)
        composed = self.components(self.composition(hidden)).reshape(-1, a.channels, a.bins)
        return Output(grid, self.lines(hidden), self.gate(composed.clamp(-25.0, 15.0).exp(), encoded))
