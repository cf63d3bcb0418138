"""From counts to what the network reads: the same torch code for training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from coronium.network.cube import Cube
from coronium.physics.spectrum import FloatArray

PLANES = ("slot significance", "significance", "shape", "background", "area", "mask")
SCALARS = ("log counts", "log net counts", "log peak rate", "log exposures")
PEAK_SHARE = 0.02
"""The brightest bins that set the scale of the shape."""


class Batch(NamedTuple):
    """n cubes with the same number of exposures: (n, E, C, N) float32, fields as in `Cube`."""

    counts: Tensor
    background: Tensor
    area: Tensor
    read_variance: Tensor
    mask: Tensor


class Encoded(NamedTuple):
    """What the network reads.

    Attributes
    ----------
    planes : (n, F, E, C, N)
    scalars : (n, S)
    rate : (n,) mean net rate per area and bin, that the denoised spectrum is relative to
    unit : (n, C, N) counts of all exposures that this rate makes; 0 where masked
    excess : (n, C, N) counts above the background
    variance : (n, C, N) of the counts
    """

    planes: Tensor
    scalars: Tensor
    rate: Tensor
    unit: Tensor
    excess: Tensor
    variance: Tensor


def stack(cubes: Sequence[Cube], device: torch.device) -> Batch:
    """Stack cubes with the same number of exposures."""
    return Batch(
        *(torch.from_numpy(np.stack([getattr(cube, name) for cube in cubes])).to(device) for name in Batch._fields)
    )


def _significance(counts: Tensor, background: Tensor, read_variance: Tensor) -> Tensor:
    """Excess over the background in units of its noise, logarithmic where it is large.

    The generalised Anscombe transform 2 sqrt(x + 3/8 + s^2) makes the noise about 1 at any brightness
    (Anscombe 1948, Biometrika 35, 246; Murtagh et al. 1995, A&AS 112, 179).
    """
    floor = 0.375 + read_variance
    excess = 2.0 * (torch.sqrt(torch.relu(counts + floor)) - torch.sqrt(background + floor))
    return torch.asinh(0.5 * excess)


def encode(batch: Batch, area: Tensor) -> Encoded:
    """Make the input of the network.

    Brightness spans four decades: bins enter once by their significance and once relative to the brightest bins,
    and the brightness itself enters as a few scalars.

    Parameters
    ----------
    batch : Batch
    area : (C, N)
        Of the canonical grid, for a typical exposure.
    """
    total = Batch(*(a.sum(1, keepdim=True) for a in batch))
    seen = (total.mask > 0).float()
    net = (total.counts - total.background) * seen
    noise = torch.sqrt((total.counts.clamp(min=0) + total.read_variance).sum((1, 2, 3)) + 1.0)
    detected = torch.maximum(net.sum((1, 2, 3)), noise)
    rate = detected / total.area.sum((1, 2, 3)).clamp(min=1e-30)

    # Rate of each bin, averaged with its neighbours where the scale is taken, so that one noisy bin does not set it.
    per_area = net / total.area.clamp(min=1e-30) * seen
    relative = per_area / rate[:, None, None, None]
    smooth = torch.nn.functional.avg_pool1d(relative.flatten(1, 2), 3, stride=1, padding=1).flatten(1)
    brightest = max(3, int(PEAK_SHARE * smooth.shape[1]))
    peak = smooth.topk(brightest, dim=1).values.mean(1).clamp(min=1.0)
    shape = torch.asinh(10.0 * relative / peak[:, None, None, None]) / 3.0

    exposures = batch.counts.shape[1]
    full = (-1, exposures, -1, -1)
    depth = torch.where(batch.mask > 0, torch.log10((batch.area / area.clamp(min=1e-30)).clamp(1e-4, 1e4)), 0.0)
    planes = torch.stack(
        [
            _significance(batch.counts, batch.background, batch.read_variance) * batch.mask,
            (_significance(total.counts, total.background, total.read_variance) * seen).expand(full),
            shape.expand(full),
            (torch.asinh(torch.sqrt(total.background)) * seen).expand(full),
            depth,
            batch.mask,
        ],
        dim=1,
    )
    counts = total.counts.clamp(min=0).sum((1, 2, 3))
    scalars = torch.stack(
        [
            torch.log10(counts + 1.0),
            torch.log10(detected),
            torch.log10(peak),
            torch.full_like(rate, float(np.log10(exposures))),
        ],
        dim=1,
    )
    return Encoded(
        planes=planes,
        scalars=scalars,
        rate=rate,
        unit=(total.area * seen)[:, 0] * rate[:, None, None],
        excess=net[:, 0],
        variance=(total.counts.clamp(min=0) + total.read_variance + 1.0)[:, 0],
    )


def area_of(grid_area: FloatArray, device: torch.device) -> Tensor:
    """Return a grid's area as the tensor that `encode` takes."""
    return torch.from_numpy(np.ascontiguousarray(grid_area, np.float32)).to(device)
