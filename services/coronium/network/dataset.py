"""Spectra with known truth to train on: expectations from the simulator, noise drawn anew for every epoch."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from coronium.network.cube import CanonicalGrid, canonical_grid, flat_background
from coronium.network.scores import IDENTIFIED
from coronium.physics.atomic.table import SHIPPED as TABLE
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments import Instrument
from coronium.physics.observation_model import Data, ModelArrays, ModelCache, expected_counts
from coronium.physics.parameters import ParameterSpace, Priors
from coronium.physics.simulator import Simulator
from coronium.physics.spectrum import FloatArray, SourceKind, Statistic

CHUNK = 64
EXPOSURES = ((1, 0.6), (2, 0.2), (4, 0.2))
"""Numbers of exposures and how often they are drawn."""
FAINT, BRIGHT, BRIGHT_SHARE = (0.7, 12.0), (12.0, 300.0), 0.3
"""Log-uniform ranges of S/N: the mission's set with a margin, and data as bright as Capella's."""
DEPTH = (0.1, 10.0)
"""Log-uniform range of exposure time over the instrument's typical one."""
PIXELS = (1, 4, 25, 100)
"""Detector pixels added up in a resolved spectrum."""
MASKED_SHARE = 0.2
"""Share of training spectra that lose some of their channels."""
KEPT_CHANNEL = 0.6


@dataclass(frozen=True, eq=False)
class Expectations:
    """n simulated spectra with E exposures, before noise.

    Attributes
    ----------
    source, background : (n, E, C, N) float32, expected counts
    depth : (n,) area x exposure over that of the canonical grid
    read_scale : (n,) variance of the detector noise over that of the canonical grid
    log_temperature, log_density, signal_to_noise : (n,)
    line_signal_to_noise : (n, G)
    """

    source: FloatArray
    background: FloatArray
    depth: FloatArray
    read_scale: FloatArray
    log_temperature: FloatArray
    log_density: FloatArray
    signal_to_noise: FloatArray
    line_signal_to_noise: FloatArray

    def __len__(self) -> int:
        return len(self.depth)

    def take(self, index: np.ndarray) -> Expectations:
        """Return some of the spectra."""
        return Expectations(**{name: value[index] for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Simulated spectra by number of exposures, and what they share.

    Attributes
    ----------
    grid : CanonicalGrid
    mask : (C, N) bool, the instrument's own
    read_variance : (C, N)
    background_scale : float or None, of the background region
    statistic : Statistic
    line_label : tuple of str
    line_wavelength : (G,)
    line_channel : (G, C) share of a line group's counts that each channel collects
    log_temperature, log_density : (low, high), the prior they were drawn from
    parts : tuple of Expectations
    """

    grid: CanonicalGrid
    mask: np.ndarray
    read_variance: FloatArray
    background_scale: float | None
    statistic: Statistic
    line_label: tuple[str, ...]
    line_wavelength: FloatArray
    line_channel: FloatArray
    log_temperature: tuple[float, float]
    log_density: tuple[float, float]
    parts: tuple[Expectations, ...]


class Noisy(NamedTuple):
    """One noisy batch: (n, E, C, N) arrays as in `Cube`, the source behind them, and which lines are present."""

    counts: FloatArray
    background: FloatArray
    area: FloatArray
    read_variance: FloatArray
    mask: FloatArray
    source: FloatArray
    lines: np.ndarray


def simulate(
    instrument: Instrument,
    count: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
    cache: Path | None = None,
) -> TrainingSet:
    """Simulate spectra to train on, or read those that an interrupted training left behind.

    Parameters
    ----------
    instrument : Instrument
    count : int
    seed : int
    progress : callable
        Called with the number of spectra made so far.
    cache : path, optional
        Folder that keeps the expectations, in a file named after everything that they depend on; default: the
        system's temporary folder.
    """
    shared, simulators = _simulators(instrument)
    path = (cache or Path(tempfile.gettempdir())) / _cache_name(instrument, count, seed)
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            fields = Expectations.__dataclass_fields__
            parts = [Expectations(**{f: file[f"{e}_{f}"] for f in fields}) for e in file["exposures"]]
        progress(count)
        return replace(shared, parts=tuple(parts))
    rng = np.random.default_rng(seed)
    chunks: dict[int, list[Expectations]] = {}
    for start in range(0, count, CHUNK):
        exposures = int(rng.choice([e for e, _ in EXPOSURES], p=[p for _, p in EXPOSURES]))
        made = _chunk(instrument, simulators, shared.grid, exposures, min(CHUNK, count - start), rng)
        chunks.setdefault(exposures, []).append(made)
        progress(min(start + CHUNK, count))
    parts = [_joined(chunks[e]) for e in sorted(chunks)]
    arrays = {f"{e}_{f}": v for e, part in zip(sorted(chunks), parts, strict=True) for f, v in vars(part).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, exposures=np.array(sorted(chunks)), **arrays)
    unfinished.replace(path)
    return replace(shared, parts=tuple(parts))


def realise(data: TrainingSet, drawn: Expectations, rng: np.random.Generator, drop_channels: bool = False) -> Noisy:
    """Draw the detector's noise, and make of it what `to_cube` makes of a spectrum.

    Parameters
    ----------
    data : TrainingSet
    drawn : Expectations
    rng : numpy Generator
    drop_channels : bool
        Whether some spectra lose some channels, as real ones do.
    """
    n, _, channels, _ = drawn.source.shape
    kept: np.ndarray = np.ones((n, channels), bool)
    if drop_channels and channels > 1:
        kept = (rng.random((n, channels)) < KEPT_CHANNEL) | (rng.random(n) >= MASKED_SHARE)[:, None]
        kept[np.arange(n), rng.integers(0, channels, n)] = True
    good = np.broadcast_to(data.mask & kept[:, None, :, None], drawn.source.shape)
    variance = data.read_variance * drawn.read_scale[:, None, None, None] * good
    # The series that lays lines on bins rings below zero by a hair.
    counts = rng.poisson(np.maximum(drawn.source + drawn.background, 0.0)).astype(np.float32)
    if data.statistic is Statistic.COUNTS_WITH_READ_NOISE:
        counts += rng.standard_normal(counts.shape, np.float32) * np.sqrt(variance)
    region = scale = None
    if data.background_scale is not None:
        region = rng.poisson(drawn.background * data.background_scale)
        scale = np.full(counts.shape[:-1], data.background_scale)
    background = flat_background(counts, good, region, scale, data.statistic) * good
    # A line seen in some of its channels alone has the S/N of its remaining counts.
    left = np.sqrt(kept @ data.line_channel.T)
    area = data.grid.area * drawn.depth[:, None, None, None] * good
    return Noisy(
        counts=np.asarray(counts * good, np.float32),
        background=np.asarray(background, np.float32),
        area=np.asarray(area, np.float32),
        read_variance=np.asarray(variance, np.float32),
        mask=np.asarray(good, np.float32),
        source=drawn.source,
        lines=drawn.line_signal_to_noise * left >= IDENTIFIED,
    )


class _Simulators(NamedTuple):
    cache: ModelCache
    priors: Priors


def _simulators(instrument: Instrument) -> tuple[TrainingSet, _Simulators]:
    """What all spectra of an instrument share, and what makes simulators."""
    tools = _Simulators(ModelCache(load_table()), Priors())
    simulator = Simulator(tools.cache, instrument, tools.priors)
    grid, groups, layout = canonical_grid(instrument), simulator.groups, simulator.model.layout
    mask = np.zeros(grid.shape, bool)
    variance = np.zeros(grid.shape, np.float32)
    for row, channel in enumerate(instrument.channels):
        mask[row, : channel.bins] = channel.mask
        if channel.statistic is Statistic.COUNTS_WITH_READ_NOISE:
            variance[row, : channel.bins] = instrument.read_variance(channel)
    seen = np.einsum("gkb,kb->gk", groups.profile * groups.window, simulator.data.area[0])
    owner = np.asarray(layout.block_channel)
    by_channel = np.stack([seen[:, owner == c].sum(1) for c in range(layout.channels)], axis=1)
    first = instrument.channels[0]
    shared = TrainingSet(
        grid=grid,
        mask=mask,
        read_variance=variance,
        background_scale=first.background_scale,
        statistic=first.statistic,
        line_label=groups.label,
        line_wavelength=groups.wavelength,
        line_channel=by_channel / np.maximum(by_channel.sum(1, keepdims=True), 1e-30),
        log_temperature=tools.priors.log_temperature,
        log_density=tools.priors.log_density,
        parts=(),
    )
    return shared, tools


@partial(jax.jit, static_argnames=("space",))
def _expected(space: ParameterSpace, arrays: ModelArrays, data: Data, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(lambda point: expected_counts(space, arrays, data, point))(z)


def _chunk(
    instrument: Instrument,
    tools: _Simulators,
    grid: CanonicalGrid,
    exposures: int,
    count: int,
    rng: np.random.Generator,
) -> Expectations:
    """Simulate up to `CHUNK` spectra of one exposure time and number of exposures."""
    depth = float(np.exp(rng.uniform(*np.log(DEPTH))))
    pixels = instrument.pixels_summed
    if instrument.source is SourceKind.RESOLVED:
        pixels = int(rng.choice(PIXELS))
    simulator = Simulator(
        tools.cache,
        replace(instrument, pixels_summed=pixels),
        tools.priors,
        exposures=exposures,
        exposure_seconds=depth * instrument.exposure_seconds,
    )
    wanted = BRIGHT if rng.random() < BRIGHT_SHARE else FAINT
    truths = [truth for _, truth in simulator.draw(count, rng, wanted)]
    z = np.stack([truth.unknowns for truth in truths])
    padded = np.concatenate([z, np.zeros((CHUNK - count, z.shape[1]), z.dtype)])
    model = simulator.model
    blocks = _expected(model.space, model.arrays, simulator.data, padded)

    def laid(values: jax.Array) -> np.ndarray:
        out = np.zeros((count, exposures, *grid.shape), np.float32)
        for c, piece in enumerate(model.layout.from_blocks(np.asarray(values)[:count])):
            out[:, :, c, : piece.shape[-1]] = piece
        return out

    share = pixels / instrument.pixels_summed
    return Expectations(
        source=laid(blocks[0]),
        background=laid(blocks[1]),
        depth=np.full(count, depth * share, np.float32),
        read_scale=np.full(count, share, np.float32),
        log_temperature=np.array([t.log_temperature for t in truths], np.float32),
        log_density=np.array([t.log_density for t in truths], np.float32),
        signal_to_noise=np.array([t.signal_to_noise for t in truths], np.float32),
        line_signal_to_noise=np.array([t.line_signal_to_noise for t in truths], np.float32),
    )


def _joined(chunks: list[Expectations]) -> Expectations:
    return Expectations(
        **{f: np.concatenate([getattr(c, f) for c in chunks]) for f in Expectations.__dataclass_fields__}
    )


def _cache_name(instrument: Instrument, count: int, seed: int) -> str:
    settings = (
        canonical_grid(instrument).digest,
        hashlib.sha256(TABLE.read_bytes()).hexdigest(),
        asdict(Priors()),
        (EXPOSURES, FAINT, BRIGHT, BRIGHT_SHARE, DEPTH, PIXELS),
        (count, seed),
    )
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    return f"coronium-training-{instrument.name}-{digest}.npz"
