"""What runs in the worker process of extraction: the networks."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.spectrum_checks import check_contents
from coronium.network.files import WeightsError, combined_version, known_instruments
from coronium.network.prediction import Prediction, Predictor
from coronium.physics.spectrum import Spectrum
from coronium.runtime.errors import StartError
from coronium.runtime.stage import Rejected
from coronium.v1 import dead_letter_pb2, features_pb2, spectrum_pb2


@dataclass(frozen=True)
class Extracted:
    """What became of one observation.

    Attributes
    ----------
    target : str
    features : bytes
        Serialised `Features`.
    network_seconds : float
        Network time for this spectrum; 0 without a network.
    known : bool
        Whether a network looked at it.
    """

    target: str
    features: bytes
    network_seconds: float
    known: bool


class ExtractionWorker:
    """Predicts in batches, one instrument after the other.

    Parameters
    ----------
    device : str
    weights : path or None
    """

    def __init__(self, device: str, weights: Path | None) -> None:
        self._device, self._weights = device, weights
        self._predictors: dict[str, Predictor] = {}

    def warm(self) -> str:
        """Load every network; return one hash over all of them.

        Raises
        ------
        StartError
            Weights are missing or cannot be read.
        """
        try:
            for name in known_instruments(self._weights):
                self._predictors[name] = Predictor(name, self._device, self._weights)
            return combined_version(self._weights)
        except WeightsError as fault:
            raise StartError(str(fault)) from None

    def work(self, jobs: list[bytes]) -> list[Extracted | Rejected]:
        """Turn serialised observations into features."""
        results: dict[int, Extracted | Rejected] = {}
        observations: dict[int, spectrum_pb2.Observation] = {}
        spectra: dict[str, dict[int, Spectrum]] = defaultdict(dict)
        for index, job in enumerate(jobs):
            observation = spectrum_pb2.Observation.FromString(job)
            try:
                spectrum = check_contents(observation.spectrum)
            except InvalidSpectrum as fault:
                results[index] = Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(fault))
                continue
            observations[index] = observation
            spectra[spectrum.instrument][index] = spectrum
        for instrument, members in spectra.items():
            found, seconds = self._predict(instrument, members)
            for index in members:
                results[index] = _extracted(observations[index], found.get(index), seconds)
        return [results[index] for index in range(len(jobs))]

    def _predict(self, instrument: str, spectra: dict[int, Spectrum]) -> tuple[dict[int, Prediction], float]:
        """Predictions by index, and the time of each; none where no network can tell anything."""
        predictor = self._predictors.get(instrument)
        if predictor is None:
            return {}, 0.0
        # What has no usable bin on the network's grid would get an answer out of nothing.
        seen = {i: s for i, s in spectra.items() if predictor.sees(s)}
        begun = time.perf_counter()
        made = predictor.predict(list(seen.values()))
        seconds = (time.perf_counter() - begun) / max(1, len(seen))
        return {i: p for i, p in zip(seen, made, strict=True) if np.isfinite(p.probability).all()}, seconds


def create(settings: dict[str, Any]) -> ExtractionWorker:
    """Make the worker; called in the spawned process."""
    return ExtractionWorker(settings["device"], Path(settings["weights"]) if settings["weights"] else None)


def _extracted(observation: spectrum_pb2.Observation, prediction: Prediction | None, seconds: float) -> Extracted:
    features = features_pb2.Features(observation=observation)
    features.extracted_at.GetCurrentTime()
    target = observation.spectrum.target
    if prediction is None:
        return Extracted(target, features.SerializeToString(deterministic=True), 0.0, known=False)
    features.network_version = prediction.version
    features.network_seconds = seconds
    features.grid.log_temperature.extend(prediction.log_temperature)
    features.grid.log_density.extend(prediction.log_density)
    features.grid.probability.extend(prediction.probability.ravel())
    for label, wavelength, probability in zip(
        prediction.line_label, prediction.line_wavelength, prediction.line_probability, strict=True
    ):
        features.lines.add(label=label, wavelength=wavelength, probability=probability)
    for name, counts in prediction.denoised.items():
        features.denoised.add(name=name, counts=counts)
    return Extracted(target, features.SerializeToString(deterministic=True), seconds, known=True)
