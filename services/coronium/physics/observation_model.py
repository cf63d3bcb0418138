"""The forward model of one kind of observation, from the unknowns to expected counts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from coronium.physics.abundances import HELIUM, HYDROGEN
from coronium.physics.arrays import Array
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.forward import source_rate
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.layout import OFFSET_REACH, Bank, Layout, build_layout
from coronium.physics.line_list import LineCatalogue
from coronium.physics.parameters import ParameterSpace, Priors, State, parameter_space, physical
from coronium.physics.spectrum import FloatArray, SourceKind, Spectrum, Statistic
from coronium.physics.temperature_distribution import distributed

CORRECTED_LINES = 24
CORRECTED_IONS = 20
REFERENCE_ABUNDANCES = {SourceKind.RESOLVED: "coronal_feldman_1992", SourceKind.STAR: "photospheric_asplund_2009"}
LACKING_SHARE = 0.1
"""Of the mean source of a block's bins (128 at most), added to each bin where the model's error is concerned."""
LEAST_SHAPE, LARGEST_SHAPE = 1.0, 1e9
"""Of the gamma distribution of a bin's gain: a model error of 100 % and of next to nothing."""
LEAST_SHARE = 0.01
"""Elements and ions that never carry this share of a channel's line photons get no unknown of their own."""
_CACHE_SIZE = 8


class Data(NamedTuple):
    """An observation on the blocks of its layout, float32.

    Attributes
    ----------
    counts, area, good, read_variance : (E, K, B)
        `good` is 1 where a bin may be used, else 0.
    background : (E, K, B) counts of the background region
    background_scale : (E,) background area over source area; 0 where there is no such region
    background_exposure : (E,) seconds that the background level of the preset is to be multiplied with
    offset : (C,) Angstrom by which the observation's grid lies above the layout's
    """

    counts: Array
    area: Array
    good: Array
    read_variance: Array
    background: Array
    background_scale: Array
    background_exposure: Array
    offset: Array


class ModelArrays(NamedTuple):
    """Everything the compiled model reads: passed as an argument, so that programs do not hold it."""

    bank: Bank
    corrections: Array
    """(L, ions + lines) 1 where an atomic correction acts on a line."""
    coordinate: Array
    """(K, B) position within the channel, -1 to 1."""


@dataclass(frozen=True, eq=False)
class ObservationModel:
    """Forward model of spectra with one layout.

    Attributes
    ----------
    instrument : Instrument
        Restricted to the channels observed.
    space : ParameterSpace
        Static: names, priors, layout.
    arrays : ModelArrays
    catalogue : LineCatalogue
    statistic : Statistic
    edges : list of (N_c + 1,) Angstrom
    """

    instrument: Instrument
    space: ParameterSpace
    arrays: ModelArrays
    catalogue: LineCatalogue
    statistic: Statistic
    edges: list[FloatArray]

    @property
    def layout(self) -> Layout:
        """The static grid."""
        return self.space.layout

    def state(self, z: Array) -> State:
        """Physical meaning of a vector of unknowns."""
        return physical(self.space, self.arrays.corrections, z)


def expected_counts(space: ParameterSpace, arrays: ModelArrays, data: Data, z: Array) -> tuple[Array, Array]:
    """Expected source counts and background counts under the source, (E, K, B) each.

    Parameters
    ----------
    space : ParameterSpace
    arrays : ModelArrays
    data : Data
        Its areas, exposures and offset; the counts are not read.
    z : (D,)
    """
    state = physical(space, arrays.corrections, z)
    response = state.response._replace(shift=state.response.shift - data.offset)
    rate = source_rate(space.layout, arrays.bank, state.plasma, state.ln_line_correction, response)
    source = data.area * state.exposure_scale[:, None, None] * rate
    return source, background_counts(space, arrays, data, state)


def erring_counts(arrays: ModelArrays, source: Array, background: Array) -> Array:
    """What the model's relative error acts on, (E, K, B): all counts of a bin, and a share of the source around it.

    The share stands for lines that the atomic data lack: they fall between those that are known. The background
    errs like the source, or a fit would call background continuum for the sake of its error.

    Parameters
    ----------
    arrays : ModelArrays
    source, background : (E, K, B) expected counts
    """
    inside = arrays.bank.bin_width > 0
    around = (source * inside).sum(-1, keepdims=True) / inside.sum(-1, keepdims=True)
    return (source + background + LACKING_SHARE * around) * inside


def gain_shape(expected: Array, error: Array) -> Array:
    """Shape of the gamma distribution of a bin's gain, whose mean is one.

    An error of 100 % is the most, for dark bins beside bright ones, and next to none the least.

    Parameters
    ----------
    expected, error : expected counts of the bin, and the model's error of them
        NumPy's arrays or JAX's.
    """
    return ((expected / error.clip(1e-6 * expected + 1e-30)) ** 2).clip(LEAST_SHAPE, LARGEST_SHAPE)


def background_counts(space: ParameterSpace, arrays: ModelArrays, data: Data, state: State) -> Array:
    """Expected background counts under the source, (E, K, B)."""
    owner = np.asarray(space.layout.block_channel)
    shape = jnp.exp(state.background_slope[owner][:, None] * arrays.coordinate)
    level = state.background[:, owner] * data.background_exposure[:, None]
    return level[:, :, None] * shape * (arrays.bank.bin_width > 0)


def restricted(instrument: Instrument, spectrum: Spectrum) -> Instrument:
    """Return an instrument with the channels of a spectrum alone. Raises `KeyError` for one that it has not."""
    return replace(instrument, channels=tuple(instrument.channel(c.name) for c in spectrum.channels))


def _grids(instrument: Instrument, spectrum: Spectrum) -> tuple[list[FloatArray], FloatArray]:
    """The layout's edges and the offset of the observation's grid from them, per channel."""
    edges, offsets = [], []
    reach = OFFSET_REACH if instrument.source is SourceKind.RESOLVED else 0.02
    for own, channel in zip(spectrum.channels, instrument.channels, strict=True):
        canonical = channel.wavelength_edges
        if len(own.wavelength_edges) == len(canonical):
            difference = own.wavelength_edges - canonical
            if (
                np.ptp(difference) < 1e-3 * np.median(np.diff(canonical))
                and abs(difference.mean()) < reach * channel.fwhm
            ):
                edges.append(canonical)
                offsets.append(float(difference.mean()))
                continue
        edges.append(np.asarray(own.wavelength_edges, float))
        offsets.append(0.0)
    return edges, np.array(offsets)


class ModelCache:
    """Builds observation models and keeps the last few: spectra of one instrument share theirs."""

    def __init__(self, table: EmissivityTable) -> None:
        self.table = table
        self._models: OrderedDict[tuple, ObservationModel] = OrderedDict()

    def get(
        self,
        instrument: Instrument,
        spectrum: Spectrum,
        priors: Priors | None = None,
        gaussian_dem: bool = False,
    ) -> ObservationModel:
        """Return the model for a spectrum.

        Parameters
        ----------
        instrument : Instrument
        spectrum : Spectrum
        priors : Priors, optional
        gaussian_dem : bool

        Raises
        ------
        KeyError
            When the spectrum has a channel that the instrument has not.
        ValueError
            When its channels do not share one statistic.
        """
        priors = priors or Priors()
        statistics = {c.statistic for c in spectrum.channels}
        if len(statistics) != 1:
            raise ValueError(f"the channels of one spectrum must share one statistic, not {sorted(statistics)}")
        instrument = restricted(instrument, spectrum)
        edges, _ = _grids(instrument, spectrum)
        key = (
            instrument.name,
            tuple(e.tobytes() for e in edges),
            tuple(c.name for c in instrument.channels),
            spectrum.exposures,
            spectrum.source,
            statistics.copy().pop(),
            priors,
            gaussian_dem,
        )
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        model = build_model(
            self.table,
            instrument,
            edges,
            spectrum.source,
            spectrum.exposures,
            statistics.pop(),
            priors,
            gaussian_dem,
        )
        self._models[key] = model
        if len(self._models) > _CACHE_SIZE:
            self._models.popitem(last=False)
        return model


def build_model(
    table: EmissivityTable,
    instrument: Instrument,
    edges: list[FloatArray],
    source: SourceKind,
    exposures: int,
    statistic: Statistic,
    priors: Priors,
    gaussian_dem: bool,
) -> ObservationModel:
    """Gather atomic data on a grid and decide which corrections and abundances are unknowns."""
    reference = table.abundances[REFERENCE_ABUNDANCES[source]]
    layout, bank, catalogue = build_layout(table, instrument, edges, source, reference)
    if gaussian_dem:
        bank = distributed(bank, priors)
    share = catalogue.share
    strongest = np.argsort(-share)[:CORRECTED_LINES]
    strongest = np.sort(strongest[share[strongest] > LEAST_SHARE])
    ions: dict[tuple[int, int], float] = {}
    for z, stage, s in zip(catalogue.element, catalogue.ion, share, strict=True):
        if stage == 0:
            continue
        ions[int(z), int(stage)] = max(ions.get((int(z), int(stage)), 0.0), float(s))
    kept = sorted(sorted(ions, key=lambda ion: -ions[ion])[:CORRECTED_IONS])
    kept = [ion for ion in kept if ions[ion] > LEAST_SHARE]
    free = tuple(sorted({z for (z, _), s in ions.items() if s > LEAST_SHARE and z not in (HYDROGEN, HELIUM)}))
    space = parameter_space(
        layout,
        instrument,
        priors,
        source,
        gaussian_dem,
        exposures,
        free,
        tuple(kept),
        tuple((int(i), catalogue.label[i]) for i in strongest),
    )
    corrections = np.zeros((len(share), len(kept) + len(strongest)), np.float32)
    for column, (z, stage) in enumerate(kept):
        corrections[(catalogue.element == z) & (catalogue.ion == stage), column] = 1.0
    corrections[strongest, len(kept) + np.arange(len(strongest))] = 1.0
    coordinate = layout.to_blocks([np.linspace(-1.0, 1.0, n, dtype=np.float32)[None] for n in layout.channel_bins])[0]
    return ObservationModel(
        instrument=instrument,
        space=space,
        arrays=ModelArrays(bank, corrections, coordinate),
        catalogue=catalogue,
        statistic=statistic,
        edges=edges,
    )


def pack(model: ObservationModel, spectrum: Spectrum) -> Data:
    """Lay a spectrum on the blocks of its model."""
    layout = model.layout
    _, offset = _grids(model.instrument, spectrum)
    shape = [(spectrum.exposures, c.bins) for c in spectrum.channels]

    def blocks(arrays: list[np.ndarray | None]) -> np.ndarray:
        filled = [
            np.zeros(s, np.float32) if a is None else np.where(c.mask, a, 0).astype(np.float32)
            for a, s, c in zip(arrays, shape, spectrum.channels, strict=True)
        ]
        return layout.to_blocks(filled)

    exposure = []
    for e in range(spectrum.exposures):
        if spectrum.source is SourceKind.STAR:
            exposure.append(spectrum.exposure_seconds[e])
            continue
        # A resolved spectrum may sum any number of pixels: what counts is its area next to the preset's.
        ratios = []
        for own, channel in zip(spectrum.channels, model.instrument.channels, strict=True):
            nominal = model.instrument.area_exposure(channel, 1.0)
            good = own.mask[e] & (own.area_exposure[e] > 0)
            if own.bins == len(nominal) and good.any():
                ratios.append(float(np.median(own.area_exposure[e][good] / nominal[good])))
        exposure.append(np.median(ratios) if ratios else spectrum.exposure_seconds[e])
    scales = [c.background_scale for c in spectrum.channels]
    has_background = all(c.background is not None for c in spectrum.channels) and scales[0] is not None
    return Data(
        counts=blocks([c.counts for c in spectrum.channels]),
        area=blocks([c.area_exposure for c in spectrum.channels]),
        good=blocks([c.mask.astype(np.float32) for c in spectrum.channels]),
        read_variance=blocks([c.read_variance for c in spectrum.channels]),
        background=blocks([c.background for c in spectrum.channels]),
        background_scale=np.asarray(scales[0] if has_background else np.zeros(spectrum.exposures), np.float32),
        background_exposure=np.asarray(exposure, np.float32),
        offset=offset.astype(np.float32),
    )
