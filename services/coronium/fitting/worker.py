"""The worker process of fitting: JAX lives here and nowhere else in the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.limits import MAX_FITTED_VALUES
from coronium.fitting.jobs import FitJob, Fitted
from coronium.runtime.errors import StartError
from coronium.runtime.stage import Rejected
from coronium.v1 import dead_letter_pb2, features_pb2, posterior_pb2, spectrum_pb2

if TYPE_CHECKING:
    from coronium.fit import FitResult, Plasma, StartMap
    from coronium.physics.spectrum import Spectrum

NETWORK = "network"
"""The lowest rung of `max_rung`: nothing is fitted."""


def create(settings: dict[str, Any]) -> FittingWorker:
    """Make the worker; called in the spawned process.

    Parameters
    ----------
    settings : dict
        `emissivity_table`, `max_rung`, `chains`, `most_rounds`, `warmup`, `draws`, `deepest_tree`, `width`, `devices`,
        `compilation_cache`, `warm_instruments` (instrument, plasma model and number of exposures of each).
    """
    from coronium.compute import use

    use(settings["devices"], Path(settings["compilation_cache"]) if settings["compilation_cache"] else None)
    return FittingWorker(settings)


class FittingWorker:
    """Fits batches of features.

    Parameters
    ----------
    settings : dict
        See `create`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def warm(self) -> str:
        """Load the emissivity table and compile for the instruments named; the table's version.

        Raises
        ------
        StartError
            The table is missing or cannot be read.
        """
        from coronium.fit import Fitter, Plasma, Rung, SamplerSettings
        from coronium.physics.atomic.table import AtomicDataError, load_table

        s = self._settings
        try:
            table = load_table(Path(s["emissivity_table"]) if s["emissivity_table"] else None)
        except AtomicDataError as fault:
            raise StartError(str(fault)) from None
        self._fitter = Fitter(
            table=table,
            settings=SamplerSettings(
                **{name: s[name] for name in ("chains", "most_rounds", "warmup", "draws", "deepest_tree")}
            ),
            batch=s["width"],
        )
        if s["max_rung"] == NETWORK:
            return self._fitter.table_version
        kinds = [(instrument, Plasma(plasma), exposures) for instrument, plasma, exposures in s["warm_instruments"]]
        self._fitter.prepare(kinds, Rung(s["max_rung"]))
        return self._fitter.table_version

    def work(self, jobs: list[FitJob]) -> list[Fitted | Rejected]:
        """Fit a batch; a spectrum that does not fit its instrument is rejected alone."""
        features = [features_pb2.Features.FromString(job.features) for job in jobs]
        if self._settings["max_rung"] == NETWORK:
            return [self._pass_on(item) for item in features]
        results: list[Fitted | Rejected | None] = [None] * len(jobs)
        for plasma in {f.observation.spectrum.plasma_model for f in features}:
            members = [i for i, f in enumerate(features) if f.observation.spectrum.plasma_model == plasma]
            for i, fitted in zip(members, self._fit([features[i] for i in members], plasma), strict=True):
                results[i] = fitted
        return [r for r in results if r is not None]

    def _read(self, features: features_pb2.Features) -> tuple[Spectrum, posterior_pb2.ModelVersions]:
        """A spectrum, and the versions that a result of it names, however far up the ladder it comes from.

        Raises
        ------
        LookupError, ValueError
            It does not fit its instrument.
        """
        from coronium.contract.spectrum_checks import check_spectrum
        from coronium.fitting.messages import model_versions
        from coronium.physics.instruments.registry import get_instrument
        from coronium.physics.observation_model import restricted

        spectrum = check_spectrum(features.observation.spectrum)
        _check_size(spectrum)
        instrument = restricted(get_instrument(spectrum.instrument), spectrum)
        return spectrum, model_versions(self._fitter.versions(instrument), features.network_version)

    def _pass_on(self, features: features_pb2.Features) -> Fitted | Rejected:
        """What the network says, as a result that any fit replaces."""
        from coronium.fitting.network_answer import network_posterior

        try:
            _, versions = self._read(features)
        except (LookupError, ValueError) as problem:
            return Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(problem))
        return _passed_on(network_posterior(features, versions, network_map(features), self._fitter.priors))

    def _fit(self, features: list[features_pb2.Features], plasma: int) -> list[Fitted | Rejected]:
        from coronium.contract.identity import random_seed, single_result_id
        from coronium.fit import Plasma

        name = Plasma.GAUSSIAN_DEM if plasma == spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM else Plasma.ISOTHERMAL
        outcome: list[Fitted | Rejected | None] = [None] * len(features)
        spectra, starts, seeds, members = [], [], [], []
        for i, item in enumerate(features):
            try:
                spectrum, versions = self._read(item)
                # Built here for its own checks; `fit` finds it again.
                self._fitter.model(spectrum, name)
            except (LookupError, ValueError) as problem:
                outcome[i] = Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(problem))
                continue
            spectra.append(spectrum)
            starts.append(network_map(item))
            seeds.append(random_seed(single_result_id(item.observation.fingerprint, versions)))
            members.append(i)
        for i, result in zip(members, self._answers(spectra, name, starts, seeds), strict=True):
            outcome[i] = result if isinstance(result, Rejected) else _fitted(result, features[i])
        return [o for o in outcome if o is not None]

    def _answers(
        self, spectra: list[Spectrum], plasma: Plasma, starts: list[StartMap | None], seeds: list[int]
    ) -> list[FitResult | Rejected]:
        """Fit spectra together; where one of them has no finite answer, each alone."""
        from coronium.fit import NoFiniteAnswer, Rung

        if not spectra:
            return []
        try:
            return list(self._fitter.fit(spectra, plasma, Rung(self._settings["max_rung"]), starts, seeds))
        except NoFiniteAnswer as problem:
            if len(spectra) == 1:
                return [Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(problem))]
        alone = [
            self._answers([one], plasma, [start], [seed])
            for one, start, seed in zip(spectra, starts, seeds, strict=True)
        ]
        return [answer for (answer,) in alone]


def _check_size(spectrum: Spectrum) -> None:
    values = spectrum.exposures * sum(channel.bins for channel in spectrum.channels)
    if values > MAX_FITTED_VALUES:
        raise InvalidSpectrum(
            f"The spectrum has {values} values, a fit takes {MAX_FITTED_VALUES}: publish fewer exposures or channels "
            "per spectrum, or rebin."
        )


def network_map(features: features_pb2.Features) -> StartMap | None:
    """The network's grid; None where there is none. `check_features` has seen that it is a probability."""
    from coronium.fit import StartMap

    if not features.network_version:
        return None
    grid = features.grid
    nodes = np.array(grid.log_temperature), np.array(grid.log_density)
    return StartMap(*nodes, np.array(grid.probability, float).reshape(len(nodes[0]), len(nodes[1])))


def _passed_on(message: posterior_pb2.Posterior) -> Fitted:
    word = {"flag": len("FLAG_"), "constraint": len("CONSTRAINT_")}
    return Fitted(
        posterior=message.SerializeToString(deterministic=True),
        target=message.target,
        fingerprint=message.fingerprints[0],
        result_id=message.result_id,
        instrument=message.instrument,
        rung=NETWORK,
        flags=tuple(posterior_pb2.Flag.Name(flag)[word["flag"] :].lower() for flag in message.flags),
        constraints={
            p.name: posterior_pb2.Constraint.Name(p.constraint)[word["constraint"] :].lower()
            for p in message.parameters
        },
        numbers={},
        identified_lines=0,
    )


def _fitted(result, features: features_pb2.Features) -> Fitted:
    from coronium.fitting.messages import posterior_message

    message = posterior_message(result, features)
    d = result.diagnostics
    return Fitted(
        posterior=message.SerializeToString(deterministic=True),
        target=message.target,
        fingerprint=features.observation.fingerprint,
        result_id=message.result_id,
        instrument=message.instrument,
        rung=result.rung.value,
        flags=tuple(flag.value for flag in result.flags),
        constraints={s.name: s.constraint.value for s in result.parameters},
        numbers={
            "fit_seconds": d.fit_seconds,
            "divergences": d.divergences,
            "max_r_hat": d.max_r_hat,
            "min_effective_sample_size": d.min_effective_sample_size,
            "mean_leapfrog_steps": d.mean_leapfrog_steps,
            "pareto_k_hat": d.pareto_k_hat,
            "goodness_of_fit": d.goodness_of_fit,
        },
        identified_lines=sum(line.identified for line in result.lines),
    )
