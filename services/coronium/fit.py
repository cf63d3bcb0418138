"""Fit spectra: the one entry to the inference for the stream, the command line and notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import chain, islice
from math import gcd

import numpy as np
from jax import device_count

from coronium.inference.answer import Diagnostics, FitResult, Flag, Plasma, Rung, find_flags
from coronium.inference.engine import TRIAGE, WHOLE, Engine, stack
from coronium.inference.evidence import log_evidence, masses
from coronium.inference.finite import NoFiniteAnswer, require_finite
from coronium.inference.likelihood import saturated
from coronium.inference.lines import identified_lines
from coronium.inference.mode_choice import choose_modes, strayed, thinned, weighted_draws
from coronium.inference.predictive import goodness_of_fit, predictive_bands
from coronium.inference.programs import SamplerSettings
from coronium.inference.results import parameter_summaries
from coronium.inference.starts import StartMap, scan_grid, separated_peaks
from coronium.inference.summaries import chain_diagnostics
from coronium.inference.versions import instrument_version, priors_version, table_version
from coronium.inference.walk import Walk, walked
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.line_groups import LineGroups, line_groups
from coronium.physics.observation_model import Data, ModelCache, ObservationModel, pack
from coronium.physics.parameters import Priors
from coronium.physics.simulator import empty_spectrum
from coronium.physics.spectrum import Spectrum

__all__ = [
    "Diagnostics",
    "FitResult",
    "Fitter",
    "Flag",
    "NoFiniteAnswer",
    "Plasma",
    "Rung",
    "SamplerSettings",
    "StartMap",
    "fit_spectra",
]

MOST_DRAWS = 256
"""Thinned draws of a result."""
CUBE_STARTS = 2
"""A cube of exposures is bright: it has one mode, and its Jacobians are dear. More where devices would stand idle."""


class Fitter:
    """Fits spectra and keeps compiled programs between calls.

    Parameters
    ----------
    table : EmissivityTable, optional
        Default the shipped one.
    priors : Priors, optional
    settings : SamplerSettings, optional
    batch : int
        Spectra sampled side by side.
    """

    def __init__(
        self,
        table: EmissivityTable | None = None,
        priors: Priors | None = None,
        settings: SamplerSettings | None = None,
        batch: int = 4,
    ) -> None:
        self.table = table or load_table()
        self.priors = priors or Priors()
        self.settings = settings or SamplerSettings()
        self.batch = batch
        self.models = ModelCache(self.table)
        self.table_version = table_version(self.table)
        self._engines: dict[int, tuple[Engine, LineGroups]] = {}

    def versions(self, instrument: Instrument) -> dict[str, str]:
        """What makes a result of this fitter: software, table, instrument, priors."""
        return {
            "software": version("coronium"),
            "emissivity_table": self.table_version,
            "instrument": instrument_version(instrument),
            "priors": priors_version(self.priors),
        }

    def model(self, spectrum: Spectrum, plasma: Plasma, instrument: Instrument | None = None) -> ObservationModel:
        """The forward model of a spectrum (built once per layout)."""
        instrument = instrument or get_instrument(spectrum.instrument)
        return self.models.get(instrument, spectrum, self.priors, plasma is Plasma.GAUSSIAN_DEM)

    def _engine(self, model: ObservationModel) -> tuple[Engine, LineGroups]:
        key = id(model)
        if key not in self._engines:
            one = model.space.exposures == 1
            starts = max(CUBE_STARTS, gcd(device_count(), self.settings.chains))
            settings = self.settings if one else replace(self.settings, starts=starts)
            self._engines[key] = (Engine(model, settings, self.batch if one else 1), line_groups(model))
        return self._engines[key]

    def prepare(self, kinds: Sequence[tuple[str, Plasma, int]], rung: Rung = Rung.NUTS) -> None:
        """Compile for presets.

        Parameters
        ----------
        kinds : sequence of (instrument, plasma, exposures)
        """
        for name, plasma, exposures in kinds:
            engine, _ = self._engine(self.model(empty_spectrum(get_instrument(name), exposures), plasma))
            engine.prepare(programs_of(rung))

    def fit(
        self,
        spectra: Sequence[Spectrum],
        plasma: Plasma = Plasma.ISOTHERMAL,
        rung: Rung = Rung.NUTS,
        starts: Sequence[StartMap | None] | None = None,
        seeds: Sequence[int] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[FitResult]:
        """Fit spectra, those of one model together.

        Parameters
        ----------
        spectra : sequence of Spectrum
        plasma : Plasma
        rung : Rung
            `MODE` stops at the Gaussian approximation around the modes: triage.
        starts : sequence of StartMap or None, optional
            Where the network would start; a scan of the likelihood where absent.
        seeds : sequence of int, optional
            One per spectrum; default 0, 1, ...
        progress : callable, optional
            Called with the number of spectra done after every batch.

        Raises
        ------
        UnknownInstrumentError, KeyError, ValueError
            When a spectrum does not fit its instrument.
        NoFiniteAnswer
            When a spectrum's numbers are so large or so small that the fit leaves the numbers there are.
        """
        starts = starts or [None] * len(spectra)
        seeds = list(range(len(spectra))) if seeds is None else list(seeds)
        groups: dict[int, tuple[ObservationModel, list[int]]] = {}
        for i, spectrum in enumerate(spectra):
            model = self.model(spectrum, plasma)
            groups.setdefault(id(model), (model, []))[1].append(i)
        results: dict[int, FitResult] = {}
        for model, members in groups.values():
            engine, lines = self._engine(model)
            engine.prepare(programs_of(rung))
            batches = (
                self._begin(
                    engine,
                    [(i, spectra[i], starts[i], seeds[i]) for i in members[first : first + engine.batch]],
                )
                for first in range(0, len(members), engine.batch)
            )
            walks = walked(engine, batches) if rung is Rung.NUTS else chain.from_iterable(batches)
            while some := list(islice(walks, engine.batch)):
                fitted = self._finish(
                    engine, lines, some, [spectra[w.place] for w in some], [starts[w.place] for w in some], plasma, rung
                )
                results.update(zip((w.place for w in some), fitted, strict=True))
                if progress is not None:
                    progress(len(some))
        return [results[i] for i in range(len(spectra))]

    def _starting_points(
        self, engine: Engine, data: Data, starts: Sequence[StartMap | None]
    ) -> tuple[np.ndarray, np.ndarray]:
        # Half of the starts are the network's, where there is one; the scan's keep it honest.
        count = engine.settings.starts
        nodes_t, nodes_n = scan_grid(self.priors.log_temperature, self.priors.log_density)
        t, n = np.meshgrid(nodes_t, nodes_n, indexing="ij")
        scanned = engine.scan(data, t.ravel().astype(np.float32), n.ravel().astype(np.float32))
        points = []
        for i, start in enumerate(starts):
            own = 0 if start is None else count // 2
            found = [separated_peaks(scanned[i].reshape(t.shape), nodes_t, nodes_n, count - own)]
            if start is not None:
                with np.errstate(divide="ignore"):
                    log_p = np.log(start.probability)
                found.append(separated_peaks(log_p, start.log_temperature, start.log_density, own))
            points.append(tuple(np.concatenate(part) for part in zip(*found, strict=True)))
        points += [points[-1]] * (engine.batch - len(points))
        return np.array([p[0] for p in points]), np.array([p[1] for p in points])

    def _begin(self, engine: Engine, some: Sequence[tuple[int, Spectrum, StartMap | None, int]]) -> list[Walk]:
        """Find the modes of a batch: (place, spectrum, start, seed) of each."""
        began = time.perf_counter()
        packed = [pack(engine.model, spectrum) for _, spectrum, _, _ in some]
        data = stack(packed, engine.batch)
        modes = engine.modes(data, *self._starting_points(engine, data, [start for _, _, start, _ in some]))
        quoted = engine.model.space.quoted
        walks = []
        for i, (place, _, _, seed) in enumerate(some):
            choice = choose_modes(modes, i, engine.settings.chains)
            found = modes.z[i, choice.padded].astype(np.float64), modes.cholesky[i, choice.padded]
            require_finite(*found)
            walks.append(Walk(place, packed[i], int(seed), choice, found, engine.settings.chains, quoted))
        for walk in walks:
            walk.seconds = (time.perf_counter() - began) / len(walks)
        return walks

    def _finish(
        self,
        engine: Engine,
        lines: LineGroups,
        walks: Sequence[Walk],
        spectra: Sequence[Spectrum],
        starts: Sequence[StartMap | None],
        plasma: Plasma,
        rung: Rung,
    ) -> list[FitResult]:
        """Weigh the modes of a batch, and say what its draws say."""
        began = time.perf_counter()
        model, settings = engine.model, engine.settings
        padded = [*walks, *[walks[-1]] * (engine.batch - len(walks))]
        seeds = np.array([w.seed for w in padded], np.int64)
        data = stack([w.data for w in walks], engine.batch)
        weights, membership = engine.evidence(
            data,
            np.stack([w.means for w in padded]),
            np.stack([w.choleskys for w in padded]),
            np.stack([w.choice.proposal for w in padded]),
            seeds,
        )
        shares = [masses(weights[i], membership[i], w.choice.share) for i, w in enumerate(walks)]
        chains = [w.kept if rung is Rung.NUTS else w.approximate(settings.draws) for w in walks]
        kept = [
            weighted_draws(c.z, w.owner, share, w.seed, settings.kept)
            for w, c, share in zip(walks, chains, shares, strict=True)
        ]
        kept += [kept[-1]] * (engine.batch - len(kept))
        physical = engine.physical(np.stack(kept))
        predicted = engine.predict(data, np.stack([thinned(k, settings.predictive_draws) for k in kept]), seeds)
        seconds = (time.perf_counter() - began) / len(walks)

        results = []
        for i, (walk, spectrum, drawn) in enumerate(zip(walks, spectra, chains, strict=True)):
            r_hat, effective = chain_diagnostics(drawn.z, walk.owner, shares[i])
            effective = np.minimum(effective, settings.kept)
            evidence, error, k_hat = log_evidence(weights[i])
            summaries, names, columns = parameter_summaries(model, physical, i, r_hat, effective, spectrum)
            require_finite(*([s.median, s.mean, s.standard_deviation, *s.interval68, *s.interval95] for s in summaries))
            check = goodness_of_fit(predicted[i])
            diagnostics = Diagnostics(
                max_r_hat=float(np.nanmax(r_hat)),
                min_effective_sample_size=float(np.nanmin(effective)),
                divergences=int(drawn.diverging.sum()),
                pareto_k_hat=float(k_hat),
                log_evidence=evidence + saturated(model.statistic, walk.data),
                log_evidence_error=error,
                statistic=check.statistic,
                expected_statistic=check.expected,
                statistic_deviation=check.deviation,
                goodness_of_fit=check.probability,
                fit_seconds=walk.seconds + seconds,
                modes=len(walk.choice.index),
                mean_leapfrog_steps=float(drawn.steps.mean()),
            )
            results.append(
                FitResult(
                    spectrum=spectrum,
                    plasma=plasma,
                    rung=rung,
                    parameters=tuple(summaries),
                    lines=tuple(identified_lines(model, lines, walk.data, predicted[i])),
                    draw_names=tuple(names),
                    draws=thinned(columns, MOST_DRAWS).astype(np.float32),
                    predictive=tuple(predictive_bands(model, walk.data, predicted[i], spectrum)),
                    diagnostics=diagnostics,
                    flags=find_flags(
                        summaries,
                        diagnostics,
                        shares[i],
                        strayed(drawn.z, walk.owner, *walk.found),
                        starts[i] is None,
                        rung,
                    ),
                    versions=self.versions(model.instrument),
                    unknowns=kept[i],
                )
            )
        return results


def programs_of(rung: Rung) -> tuple[str, ...]:
    """Names of the programs that a rung needs."""
    return WHOLE if rung is Rung.NUTS else TRIAGE


def fit_spectra(
    spectra: Sequence[Spectrum],
    plasma: Plasma | str = Plasma.ISOTHERMAL,
    engine: str = "nuts",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    priors: Priors | None = None,
    settings: SamplerSettings | None = None,
) -> list[FitResult]:
    """Fit spectra with a fitter of their own; see `Fitter.fit`.

    Parameters
    ----------
    engine : {"nuts", "mode"}
    """
    fitter = Fitter(priors=priors, settings=settings)
    seeds = [seed + i for i in range(len(spectra))]
    return fitter.fit(spectra, Plasma(plasma), Rung(engine), seeds=seeds, progress=progress)
