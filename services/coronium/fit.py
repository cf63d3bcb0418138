"""Fit spectra: the one entry to the inference for the stream, the command line and notebooks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from coronium.inference.engine import Engine, SamplerSettings, stack
from coronium.inference.evidence import RELIABLE_K_HAT, log_evidence, refined
from coronium.inference.likelihood import saturated
from coronium.inference.modes import Mode
from coronium.inference.predictive import Band, goodness_of_fit, predictive_bands
from coronium.inference.results import Line, identified_lines, parameter_summaries
from coronium.inference.starts import scan_grid, separated_peaks
from coronium.inference.summaries import Summary, chain_diagnostics
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.instruments.instrument import Instrument
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.line_groups import LineGroups, line_groups
from coronium.physics.observation_model import Data, ModelCache, ObservationModel, pack
from coronium.physics.parameters import Priors
from coronium.physics.spectrum import Spectrum

MOST_MODES = 2
MODE_DEPTH = 3.0
"""A second mode is followed when its ln evidence is within this of the best one's."""
MULTIMODAL_SHARE = 0.05
WORST_R_HAT = 1.1
LEAST_EFFECTIVE = 50.0
POOR_FIT = 3.0
"""Standard deviations between the statistic and its posterior-predictive expectation."""
MOST_DRAWS = 256


class Plasma(StrEnum):
    """Temperature structure."""

    ISOTHERMAL = "isothermal"
    GAUSSIAN_DEM = "gaussian-dem"


class Rung(StrEnum):
    """How far up the ladder of inference to go."""

    MODE = "mode"
    NUTS = "nuts"


class Flag(StrEnum):
    """What a reader must know before using a result."""

    OUT_OF_RANGE = "out_of_range"
    POORLY_FITTED = "poorly_fitted"
    DENSITY_UNCONSTRAINED = "density_unconstrained"
    TEMPERATURE_UNCONSTRAINED = "temperature_unconstrained"
    NOT_CONVERGED = "not_converged"
    EVIDENCE_UNRELIABLE = "evidence_unreliable"
    MULTIMODAL = "multimodal"
    TRIAGE = "triage"
    NO_NETWORK = "no_network"
    NO_SIGNAL = "no_signal"


@dataclass(frozen=True)
class StartMap:
    """A network's belief over temperature and density: where to start.

    Attributes
    ----------
    log_temperature, log_density : (nT,), (nN,)
    probability : (nT, nN)
    """

    log_temperature: NDArray[np.floating]
    log_density: NDArray[np.floating]
    probability: NDArray[np.floating]


@dataclass(frozen=True)
class Diagnostics:
    """How well the sampler and the model did; see the protobuf message of the same name."""

    max_r_hat: float
    min_effective_sample_size: float
    divergences: int
    pareto_k_hat: float
    log_evidence: float
    log_evidence_error: float
    statistic: float
    expected_statistic: float
    statistic_deviation: float
    goodness_of_fit: float
    fit_seconds: float
    modes: int
    mean_leapfrog_steps: float


@dataclass(frozen=True)
class FitResult:
    """The posterior of one spectrum.

    Attributes
    ----------
    parameters : tuple of Summary
    draws : (S, P) with `draw_names`
        Thinned.
    unknowns : (S, D)
        All kept draws of the whole vector, in the order of the model's names.
    """

    spectrum: Spectrum
    plasma: Plasma
    rung: Rung
    parameters: tuple[Summary, ...]
    lines: tuple[Line, ...]
    draw_names: tuple[str, ...]
    draws: NDArray[np.float32]
    predictive: tuple[Band, ...]
    diagnostics: Diagnostics
    flags: tuple[Flag, ...]
    versions: dict[str, str]
    unknowns: NDArray[np.float64] = field(repr=False)

    def __getitem__(self, name: str) -> Summary:
        """Summary of one parameter by name."""
        for summary in self.parameters:
            if summary.name == name:
                return summary
        raise KeyError(name)


def priors_version(priors: Priors) -> str:
    """Short hash of a prior: part of a result's id."""
    return hashlib.sha256(repr(sorted(asdict(priors).items())).encode()).hexdigest()[:12]


def table_version(table: EmissivityTable) -> str:
    """CHIANTI's version and a short hash of the lines: part of a result's id."""
    content = hashlib.sha256(np.ascontiguousarray(table.line_wavelength).tobytes())
    content.update(np.ascontiguousarray(table.line_log_emissivity).tobytes())
    return f"chianti-{table.provenance.get('chianti_version', 'unknown')}-{content.hexdigest()[:12]}"


def instrument_version(instrument: Instrument) -> str:
    """Short hash of an instrument's response: part of a result's id."""
    digest = hashlib.sha256(instrument.name.encode())
    for channel in instrument.channels:
        for values in (channel.wavelength_edges, channel.effective_area, channel.calibration_modes):
            digest.update(np.ascontiguousarray(values, float).tobytes())
        digest.update(
            repr((channel.name, channel.fwhm, channel.fwhm_log_sd, channel.shift_sd, channel.profile)).encode()
        )
    return digest.hexdigest()[:12]


class Fitter:
    """Fits spectra and keeps compiled programs between calls.

    Parameters
    ----------
    table : EmissivityTable, optional
        Default the shipped one.
    priors : Priors, optional
    settings : SamplerSettings, optional
    batch : int
        Spectra fitted at once.
    """

    def __init__(
        self,
        table: EmissivityTable | None = None,
        priors: Priors | None = None,
        settings: SamplerSettings | None = None,
        batch: int = 8,
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
            batch = self.batch if model.space.exposures == 1 else 1
            self._engines[key] = (Engine(model, self.settings, batch), line_groups(model))
        return self._engines[key]

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
            for first in range(0, len(members), engine.batch):
                some = members[first : first + engine.batch]
                fitted = self._fit_batch(
                    engine,
                    lines,
                    [spectra[i] for i in some],
                    plasma,
                    rung,
                    [starts[i] for i in some],
                    np.array([seeds[i] for i in some], np.int64),
                )
                results.update(zip(some, fitted, strict=True))
                if progress is not None:
                    progress(len(some))
        return [results[i] for i in range(len(spectra))]

    def _starting_points(
        self, engine: Engine, data: Data, starts: Sequence[StartMap | None]
    ) -> tuple[np.ndarray, np.ndarray]:
        # Half of the starts are the network's, where there is one; the scan's keep it honest.
        count = self.settings.starts
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

    def _fit_batch(
        self,
        engine: Engine,
        lines: LineGroups,
        spectra: list[Spectrum],
        plasma: Plasma,
        rung: Rung,
        starts: Sequence[StartMap | None],
        seeds: NDArray[np.int64],
    ) -> list[FitResult]:
        began = time.perf_counter()
        model, settings = engine.model, self.settings
        packed = [pack(model, s) for s in spectra]
        data = stack(packed, engine.batch)
        padded_seeds = np.concatenate([seeds, np.repeat(seeds[-1:], engine.batch - len(seeds))])
        log_t, log_n = self._starting_points(engine, data, starts)
        modes = engine.modes(data, log_t, log_n)
        chosen = [choose_modes(modes, i) for i in range(engine.batch)]
        index = np.array([[c[0][0], c[0][-1]] for c in chosen])
        shares = np.array([[c[1][0], c[1][1] if len(c[1]) > 1 else 0.0] for c in chosen])
        rows = np.arange(engine.batch)[:, None]
        means, choleskys = modes.z[rows, index].astype(np.float64), modes.cholesky[rows, index]
        if rung is Rung.NUTS:
            # Chains are dealt to the modes in turn; their draws are weighted by the modes' evidence below.
            owner = np.arange(settings.chains) % np.array([len(c[0]) for c in chosen])[:, None]
            chains = engine.sample(data, means[rows, owner], choleskys[rows, owner], padded_seeds)
            z = chains.z
        else:
            owner = np.zeros((engine.batch, settings.chains), int)
            normal = np.random.default_rng(int(seeds[0]) % 2**63).standard_normal(
                (engine.batch, settings.chains, settings.draws, model.space.size)
            )
            z = means[:, :1, None] + np.einsum("bij,bcsj->bcsi", choleskys[:, 0], normal)
            chains = None
        if chains is not None:
            for i, j in np.ndindex(engine.batch, means.shape[1]):
                own_draws = z[i][owner[i] == j % len(chosen[i][0])].reshape(-1, model.space.size)
                means[i, j], choleskys[i, j] = refined(means[i, j], choleskys[i, j], own_draws)
        weights = engine.evidence(data, means, choleskys, shares, padded_seeds)
        kept = np.stack(
            [weighted_draws(z[i], owner[i], chosen[i][1], int(padded_seeds[i])) for i in range(engine.batch)]
        )
        physical = engine.physical(kept)
        some = kept[:, :: max(1, kept.shape[1] // settings.predictive_draws)][:, : settings.predictive_draws]
        predictions = engine.predict(data, some, padded_seeds)
        seconds = (time.perf_counter() - began) / len(spectra)

        results = []
        for i, spectrum in enumerate(spectra):
            with np.errstate(all="ignore"):
                r_hat, ess = chain_diagnostics(z[i])
            evidence, error, k_hat = log_evidence(weights[i])
            summaries, names, columns = parameter_summaries(model, physical, i, r_hat, ess, spectrum)
            own = type(predictions)(*(a[i] for a in predictions))
            fit_check = goodness_of_fit(own)
            diagnostics = Diagnostics(
                max_r_hat=float(np.nanmax(r_hat)),
                min_effective_sample_size=float(np.nanmin(ess)),
                divergences=0 if chains is None else int(chains.diverging[i].sum()),
                pareto_k_hat=float(k_hat),
                log_evidence=evidence + saturated(model.statistic, packed[i]),
                log_evidence_error=error,
                statistic=fit_check.statistic,
                expected_statistic=fit_check.expected,
                statistic_deviation=fit_check.deviation,
                goodness_of_fit=fit_check.probability,
                fit_seconds=seconds,
                modes=len(chosen[i][0]),
                mean_leapfrog_steps=0.0 if chains is None else float(chains.steps[i].mean()),
            )
            thin = max(1, -(-len(columns) // MOST_DRAWS))
            results.append(
                FitResult(
                    spectrum=spectrum,
                    plasma=plasma,
                    rung=rung,
                    parameters=tuple(summaries),
                    lines=tuple(identified_lines(model, lines, packed[i], own)),
                    draw_names=tuple(names),
                    draws=columns[::thin].astype(np.float32),
                    predictive=tuple(predictive_bands(model, packed[i], own, spectrum)),
                    diagnostics=diagnostics,
                    flags=flags(summaries, diagnostics, chosen[i][1], starts[i] is None, rung),
                    versions=self.versions(model.instrument),
                    unknowns=kept[i],
                )
            )
        return results


def choose_modes(modes: Mode, i: int) -> tuple[list[int], list[float]]:
    """Distinct modes of spectrum i worth following: their indices and evidence shares, best first."""
    evidence = np.nan_to_num(modes.log_evidence[i], nan=-np.inf)
    order = np.argsort(-evidence)
    kept = [int(order[0])]
    for j in order[1:]:
        if evidence[j] < evidence[kept[0]] - MODE_DEPTH or len(kept) == MOST_MODES:
            break
        factor = modes.cholesky[i, kept[0]]
        apart = np.linalg.solve(factor, modes.z[i, j] - modes.z[i, kept[0]])
        # Within the best mode's own ellipsoid it is the same mode, found again less exactly.
        if np.sqrt((apart**2).sum()) > 3.0 + np.sqrt(2.0 * len(apart)):
            kept.append(int(j))
    share = np.exp(evidence[kept] - logsumexp(evidence[kept]))
    return kept, [float(s) for s in share]


def weighted_draws(z: NDArray, owner: NDArray, shares: list[float], seed: int) -> NDArray:
    """Merge chains (C, S, D) to (C S, D) draws, chains of a mode weighted by its share."""
    flat = z.reshape(-1, z.shape[-1])
    if len(shares) == 1:
        # Interleaved, so that thinning takes from all chains.
        return z.transpose(1, 0, 2).reshape(-1, z.shape[-1])
    per_chain = np.array([shares[o] / (owner == o).sum() for o in owner])
    weight = np.repeat(per_chain, z.shape[1])
    rng = np.random.default_rng(seed % 2**63)
    return flat[rng.choice(len(flat), size=len(flat), p=weight / weight.sum())]


def flags(
    summaries: list[Summary], diagnostics: Diagnostics, shares: list[float], no_network: bool, rung: Rung
) -> tuple[Flag, ...]:
    """What a reader must know."""
    by_name = {s.name: s for s in summaries}
    found = []
    if any(by_name[n].constraint.endswith("limit") for n in ("log_temperature",)):
        found.append(Flag.OUT_OF_RANGE)
    if abs(diagnostics.statistic - diagnostics.expected_statistic) > POOR_FIT * diagnostics.statistic_deviation:
        found.append(Flag.POORLY_FITTED)
    if by_name["log_density"].constraint == "unconstrained":
        found.append(Flag.DENSITY_UNCONSTRAINED)
    if by_name["log_temperature"].constraint == "unconstrained":
        found.append(Flag.TEMPERATURE_UNCONSTRAINED)
    if rung is Rung.NUTS and (
        not diagnostics.max_r_hat < WORST_R_HAT or not diagnostics.min_effective_sample_size > LEAST_EFFECTIVE
    ):
        found.append(Flag.NOT_CONVERGED)
    if not diagnostics.pareto_k_hat < RELIABLE_K_HAT:
        found.append(Flag.EVIDENCE_UNRELIABLE)
    if len(shares) > 1 and shares[1] > MULTIMODAL_SHARE:
        found.append(Flag.MULTIMODAL)
    if rung is Rung.MODE:
        found.append(Flag.TRIAGE)
    if no_network:
        found.append(Flag.NO_NETWORK)
    if by_name["log_emission_measure_iron"].prior_dominated:
        found.append(Flag.NO_SIGNAL)
    return tuple(found)


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
