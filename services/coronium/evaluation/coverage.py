"""Simulation-based calibration: how often the intervals hold the truth (Talts et al. 2018, arXiv:1804.06788).

Every unknown, nuisance terms included, is drawn from the prior that the fit uses; exposure and background do not depend
on them; nothing is rejected, and flagged spectra count. Spectra are binned by a signal to noise measured from their
data: bins of the true one would select on the parameters and break the exactness of the coverage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from coronium.evaluation.provenance import commit
from coronium.fit import FitResult, Fitter, Plasma
from coronium.physics.instruments import get_instrument
from coronium.physics.observation_model import ModelCache, pack
from coronium.physics.parameters import MISSION_BOX, Priors, amplitude_prior
from coronium.physics.simulator import STRONGEST_LINES, Simulator, Truth
from coronium.physics.spectrum import SourceKind, Spectrum

AMPLITUDE_SD = 0.5
"""dex: of the emission measure's prior in these runs; its mean is where the median true S/N is `TYPICAL`."""
TYPICAL = 3.5
TUNING_SPECTRA = 64
PARAMETERS = ("log_temperature", "log_density", "log_emission_measure")
LEVELS = (0.68, 0.95)
CHUNK = 32
"""Spectra drawn from one seed: a run can go on at any of them."""


@dataclass(frozen=True)
class Row:
    """One fitted simulation: what the table is made of.

    Attributes
    ----------
    seed, amplitude : of the run; the mean of the emission measure's prior
    commit : of the software that fitted it
    data_signal_to_noise : see `data_signal_to_noise`
    truth, median, sd, rank : by parameter; rank is the share of draws below the truth
    inside : by parameter, whether the 68 % and the 95 % interval hold the truth
    """

    index: int
    instrument: str
    plasma: str
    box: str
    seed: int
    amplitude: float
    commit: str
    true_signal_to_noise: float
    data_signal_to_noise: float
    truth: dict[str, float]
    median: dict[str, float]
    sd: dict[str, float]
    rank: dict[str, float]
    inside: dict[str, tuple[bool, bool]]
    flags: tuple[str, ...]
    constraint: dict[str, str]
    r_hat: float
    effective: float
    k_hat: float
    seconds: float


def data_signal_to_noise(simulator: Simulator, spectrum: Spectrum) -> float:
    """S/N of the ten strongest line windows, from the counts alone.

    The level under a line is the median count of the bins of its block; the noise is that of all counts.
    """
    data = pack(simulator.model, spectrum)
    good = (np.asarray(data.good).sum(0) > 0) & np.ones(data.counts.shape[1:], bool)
    counts = (np.asarray(data.counts) * np.asarray(data.good)).sum(0)
    read = (np.asarray(data.read_variance) * np.asarray(data.good)).sum(0)
    level = np.array([np.median(c[g]) if g.any() else 0.0 for c, g in zip(counts, good, strict=True)])
    window = simulator.groups.window & good
    signal = np.einsum("gkb,kb->g", window, counts - level[:, None] * good)
    noise = np.sqrt(np.maximum(np.einsum("gkb,kb->g", window, np.maximum(counts, 0) + read), 1.0))
    return float(np.sort(signal / noise)[-STRONGEST_LINES:].mean())


def coverage_prior(cache: ModelCache, instrument: str, plasma: Plasma, box: str = "default") -> Priors:
    """The prior of a coverage run: the fit's own, with an emission measure that gives S/N of 1 to 10.

    The mean emission measure is found by simulation, from spectra that are used for nothing else, to 0.1 dex.
    """
    priors = MISSION_BOX if box == "mission" else Priors()
    preset = get_instrument(instrument)
    star = preset.source is SourceKind.STAR
    mean, sd = priors.star_log_emission_measure if star else priors.resolved_log_emission_measure
    simulator = Simulator(cache, preset, priors, gaussian_dem=plasma is Plasma.GAUSSIAN_DEM)
    drawn = list(simulator.draw(TUNING_SPECTRA, np.random.default_rng(7), (TYPICAL, TYPICAL * (1 + 1e-6))))
    at = simulator.model.space.position("log_amplitude")
    mean = round(float(mean + sd * np.median([truth.unknowns[at] for _, truth in drawn])), 1)
    amplitude = (mean, AMPLITUDE_SD)
    if star:
        return replace(priors, star_log_emission_measure=amplitude)
    return replace(priors, resolved_log_emission_measure=amplitude)


def draw(simulator: Simulator, seed: int, first: int, last: int) -> Iterator[tuple[int, Spectrum, Truth]]:
    """Simulations `first` to `last` of a run: each chunk has its own seed, so that any run can be gone on with."""
    for chunk in range(first // CHUNK, -(-last // CHUNK)):
        for i, (spectrum, truth) in enumerate(simulator.draw(CHUNK, np.random.default_rng([seed, chunk]))):
            if first <= chunk * CHUNK + i < last:
                yield chunk * CHUNK + i, spectrum, truth


class OtherRun(ValueError):
    """A file holds rows of another run; the sentence says what differs."""


def row(simulator: Simulator, index: int, box: str, seed: int, commit: str, truth: Truth, result: FitResult) -> Row:
    """Compare a posterior with the truth."""
    true = {
        "log_temperature": truth.log_temperature,
        "log_density": truth.log_density,
        "log_emission_measure": truth.log_emission_measure,
    }
    columns = {name: result.draws[:, result.draw_names.index(name)] for name in PARAMETERS}
    intervals = {name: (result[name].interval68, result[name].interval95) for name in PARAMETERS}
    d = result.diagnostics
    return Row(
        index=index,
        instrument=result.spectrum.instrument,
        plasma=result.plasma.value,
        box=box,
        seed=seed,
        amplitude=amplitude_prior(simulator.model.space)[0],
        commit=commit,
        true_signal_to_noise=truth.signal_to_noise,
        data_signal_to_noise=data_signal_to_noise(simulator, result.spectrum),
        truth=true,
        median={name: result[name].median for name in PARAMETERS},
        sd={name: result[name].standard_deviation for name in PARAMETERS},
        rank={name: float(np.mean(columns[name] < true[name])) for name in PARAMETERS},
        inside={
            name: tuple(bool(low <= true[name] <= high) for low, high in intervals[name])  # type: ignore[misc]
            for name in PARAMETERS
        },
        flags=tuple(flag.value for flag in result.flags),
        constraint={name: result[name].constraint.value for name in PARAMETERS},
        r_hat=d.max_r_hat,
        effective=d.min_effective_sample_size,
        k_hat=d.pareto_k_hat,
        seconds=d.fit_seconds,
    )


def read_rows(file: Path) -> list[Row]:
    """Rows of a run so far; a last line cut off by a kill is dropped."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(Row(**json.loads(line)))
        except json.JSONDecodeError:
            break
    return rows


def run(
    file: Path,
    instrument: str,
    count: int,
    plasma: Plasma = Plasma.ISOTHERMAL,
    box: str = "default",
    seed: int = 1,
    minutes: float = np.inf,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[Row]:
    """Fit `count` simulations, going on where the file ends; return all rows.

    Parameters
    ----------
    file : Path
        JSON lines, one per spectrum.
    batch : int
        Spectra fitted between two additions to the file.
    minutes : float
        Stop after the batch in which this time has passed.
    progress : callable, optional
        Called with the number of spectra done so far.

    Raises
    ------
    OtherRun
    """
    began = time.monotonic()
    rows = read_rows(file)
    fitter = Fitter()
    fitter.priors = coverage_prior(fitter.models, instrument, plasma, box)
    simulator = Simulator(
        fitter.models, get_instrument(instrument), fitter.priors, gaussian_dem=plasma is Plasma.GAUSSIAN_DEM
    )
    same = (instrument, plasma.value, box, seed, amplitude_prior(simulator.model.space)[0])
    for r in rows:
        other = (r.instrument, r.plasma, r.box, r.seed, r.amplitude)
        if other != same:
            raise OtherRun(f"{file} holds a run of {other}, not of {same}: give another file.")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without a last line that was cut off.
    file.write_text("".join(json.dumps(asdict(r)) + "\n" for r in rows))
    now = commit()
    pending: list[tuple[int, Spectrum, Truth]] = []
    for item in draw(simulator, seed, len(rows), count):
        pending.append(item)
        if len(pending) < batch and item[0] < count - 1:
            continue
        results = fitter.fit([s for _, s, _ in pending], plasma, seeds=[i for i, _, _ in pending])
        new = [
            row(simulator, i, box, seed, now, truth, result)
            for (i, _, truth), result in zip(pending, results, strict=True)
        ]
        with file.open("a") as out:
            out.writelines(json.dumps(asdict(r)) + "\n" for r in new)
        rows += new
        pending = []
        if progress is not None:
            progress(len(rows))
        if time.monotonic() - began > 60 * minutes:
            break
    return rows
