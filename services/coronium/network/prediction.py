"""What a trained network makes of spectra. Imports neither jax nor the emissivity table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coronium.network.cube import CanonicalGrid, as_counts, canonical_grid, flat_background, rebin, to_cube
from coronium.network.encoding import area_of, encode, stack
from coronium.network.files import WeightsError
from coronium.network.weights import device_of, load_network
from coronium.physics.instruments import get_instrument
from coronium.physics.spectrum import Channel, FloatArray, Spectrum, Statistic


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network believes about one spectrum: for display, triage and starting points, never the answer.

    Attributes
    ----------
    version : str
        Of the network.
    log_temperature, log_density : (T,), (N,)
        Cell centres, log10 K and log10 cm-3.
    probability : (T, N)
        Sums to one.
    line_label : tuple of str
    line_wavelength : (G,) Angstrom
    line_probability : (G,)
        That the line's expected S/N reaches 3.
    denoised : dict
        By channel, expected counts (values for `Statistic.FLUX`) of source and background, summed over the
        exposures that see a bin, on the observation's own bins.
    """

    version: str
    log_temperature: FloatArray
    log_density: FloatArray
    probability: FloatArray
    line_label: tuple[str, ...]
    line_wavelength: FloatArray
    line_probability: FloatArray
    denoised: dict[str, FloatArray]


class Predictor:
    """One network, loaded.

    Parameters
    ----------
    instrument : str
    device : str
        `cpu` or a CUDA device.
    folder : path, optional
        Of the weights; default those that ship with the package.

    Raises
    ------
    WeightsError
        When the weights are missing, corrupt or made for another wavelength grid.
    ValueError
        When the device is not there.
    """

    def __init__(self, instrument: str, device: str = "cpu", folder: Path | None = None) -> None:
        self.device = device_of(device)
        trained = load_network(instrument, folder)
        self.grid: CanonicalGrid = canonical_grid(get_instrument(instrument))
        if trained.meaning.grid_digest != self.grid.digest:
            raise WeightsError(
                f"the network of {instrument} was trained on another wavelength grid than the instrument now has: "
                f"train it again with `coronium train --instrument {instrument}`"
            )
        self.network = trained.network.to(self.device)
        self.meaning, self.version = trained.meaning, trained.version
        self._area = area_of(self.grid.area, self.device)

    def sees(self, spectrum: Spectrum) -> bool:
        """Whether any usable bin of a spectrum lies on the network's grid."""
        for channel in spectrum.channels:
            if channel.name in self.grid.channels:
                edges = self.grid.edges[self.grid.channels.index(channel.name)]
                inside = (channel.wavelength > edges[0]) & (channel.wavelength < edges[-1])
                if (channel.mask & (channel.area_exposure > 0) & inside).any():
                    return True
        return False

    def predict(self, spectra: Sequence[Spectrum]) -> list[Prediction]:
        """Predict for spectra of the instrument, whatever their numbers of exposures.

        Parameters
        ----------
        spectra : sequence of Spectrum

        Returns
        -------
        list of Prediction
            In the order of `spectra`.
        """
        cubes = [to_cube(self.grid, spectrum) for spectrum in spectra]
        members: dict[int, list[int]] = defaultdict(list)
        for index, cube in enumerate(cubes):
            members[len(cube.counts)].append(index)
        predictions: dict[int, Prediction] = {}
        for indices in members.values():
            with torch.inference_mode():
                encoded = encode(stack([cubes[i] for i in indices], self.device), self._area)
                output = self.network(encoded)
                probability = output.grid.exp().cpu().numpy().astype(float)
                lines = output.lines.sigmoid().cpu().numpy().astype(float)
                rate = (output.denoised * encoded.rate[:, None, None]).cpu().numpy().astype(float)
            for i, *found in zip(indices, probability, lines, rate, strict=True):
                predictions[i] = self._prediction(spectra[i], *found)
        return [predictions[i] for i in range(len(spectra))]

    def _prediction(
        self, spectrum: Spectrum, probability: FloatArray, lines: FloatArray, rate: FloatArray
    ) -> Prediction:
        denoised = {}
        for channel in spectrum.channels:
            if channel.name in self.grid.channels:
                row = self.grid.channels.index(channel.name)
                edges = self.grid.edges[row]
                own = rebin(edges, channel.wavelength_edges, rate[row : row + 1, : len(edges) - 1])[0]
                denoised[channel.name] = _expected(channel, own)
        meaning = self.meaning
        return Prediction(
            version=self.version,
            log_temperature=meaning.log_temperature,
            log_density=meaning.log_density,
            probability=probability / probability.sum(),
            line_label=meaning.line_label,
            line_wavelength=meaning.line_wavelength,
            line_probability=lines,
            denoised=denoised,
        )


def _expected(channel: Channel, rate: FloatArray) -> FloatArray:
    """Source at a rate (N,) per area and bin, and background, summed over the exposures that see a bin."""
    good = channel.mask & (channel.area_exposure > 0)
    counts, _ = as_counts(channel)
    background = flat_background(counts, good, channel.background, channel.background_scale, channel.statistic)
    seen = np.where(good.any(axis=0), good, True)
    expected = rate * channel.area_exposure + background
    if channel.statistic is Statistic.FLUX:
        expected = expected / np.where(channel.area_exposure > 0, channel.area_exposure, np.inf)
    return (expected * seen).sum(axis=0).astype(np.float32)
