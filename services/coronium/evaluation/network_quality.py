"""How good the shipped networks are on unseen spectra: `python -m coronium.evaluation.network_quality`."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coronium.network.files import known_instruments, training_record
from coronium.network.prediction import Prediction, Predictor
from coronium.network.scores import IDENTIFIED, average_precision, bootstrap_lower, cell_of, log_score_gain
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments import get_instrument
from coronium.physics.observation_model import ModelCache
from coronium.physics.parameters import Priors
from coronium.physics.simulator import Simulator, Truth
from coronium.physics.spectrum import FloatArray, Spectrum

SEED = 20_260_000
"""Far from the seeds that networks are trained with."""
SIGNAL_TO_NOISE = (1.0, 10.0)
BRIGHT_ENOUGH = 4.0
"""S/N from which the lines of a spectrum are scored."""
SURE = 0.9
"""Probability from which the fit may call a line identified."""
RARE = 0.5
"""A line present more often than this cannot reach twice its prevalence."""


@dataclass(frozen=True)
class Quality:
    """Scores of one network on held-out spectra with S/N 1 to 10; `_lower` is the one-sided 99 % bootstrap bound.

    Attributes
    ----------
    spectra : int
    gain, gain_lower : mean ln of grid posterior over prior at the truth, nats
    bright : int
        Spectra with S/N >= 4; all scores of lines are over these.
    prevalence, precision, ratio_lower : pooled over all line groups: share of lines present, average precision,
        and lower bound of their ratio
    rare_groups, groups : int
        Line groups that are present in some, but at most half of the bright spectra; all groups.
    rare_ratio, rare_ratio_lower : average precision over prevalence of each rare group, mean
    sure_share : share of the lines with probability >= 0.9 that are present
    milliseconds : per spectrum, one at a time
    """

    instrument: str
    spectra: int
    gain: float
    gain_lower: float
    bright: int
    prevalence: float
    precision: float
    ratio_lower: float
    rare_groups: int
    groups: int
    rare_ratio: float
    rare_ratio_lower: float
    sure_share: float
    milliseconds: float


def held_out(instrument: str, count: int, seed: int = SEED) -> tuple[list[Spectrum], list[Truth], tuple[str, ...]]:
    """Draw spectra from the fit's default prior; also return the labels of the line groups."""
    simulator = Simulator(ModelCache(load_table()), get_instrument(instrument), Priors())
    pairs = list(simulator.draw(count, np.random.default_rng(seed), SIGNAL_TO_NOISE))
    return [spectrum for spectrum, _ in pairs], [truth for _, truth in pairs], simulator.groups.label


def measure(instrument: str, count: int = 1000, seed: int = SEED) -> Quality:
    """Score the shipped network of an instrument.

    Raises
    ------
    WeightsError
        When it has none.
    ValueError
        When its line groups are no longer those of the simulator.
    """
    predictor = Predictor(instrument)
    spectra, truths, labels = held_out(instrument, count, seed)
    if labels != predictor.meaning.line_label:
        raise ValueError(f"the network of {instrument} knows other line groups than the simulator: train it again")
    return score(instrument, predictor.predict(spectra), truths, _milliseconds(predictor, spectra))


def score(instrument: str, predictions: list[Prediction], truths: list[Truth], milliseconds: float) -> Quality:
    """Compare predictions with truths."""
    first = predictions[0]
    gains = log_score_gain(
        np.stack([p.probability for p in predictions]),
        cell_of(np.array([t.log_temperature for t in truths]), first.log_temperature),
        cell_of(np.array([t.log_density for t in truths]), first.log_density),
    )
    bright = np.array([t.signal_to_noise >= BRIGHT_ENOUGH for t in truths])
    probability = np.stack([p.line_probability for p in predictions])[bright]
    present = np.stack([t.line_signal_to_noise for t in truths])[bright] >= IDENTIFIED
    often = present.mean(0)
    rare = (often > 0) & (often <= RARE)

    def ratio(index: np.ndarray) -> float:
        found = present[index].ravel()
        return average_precision(probability[index].ravel(), found) / found.mean()

    def rare_ratio(index: np.ndarray) -> float:
        return float(np.nanmean(_by_group(probability[index][:, rare], present[index][:, rare])))

    everything = np.arange(len(present))
    sure = probability >= SURE
    return Quality(
        instrument=instrument,
        spectra=len(truths),
        gain=float(gains.mean()),
        gain_lower=bootstrap_lower(lambda index: float(gains[index].mean()), len(gains)),
        bright=len(present),
        prevalence=float(present.mean()),
        precision=float(ratio(everything) * present.mean()),
        ratio_lower=bootstrap_lower(ratio, len(present)),
        rare_groups=int(rare.sum()),
        groups=len(often),
        rare_ratio=rare_ratio(everything),
        rare_ratio_lower=bootstrap_lower(rare_ratio, len(present), draws=200),
        sure_share=float(present[sure].mean()) if sure.any() else float("nan"),
        milliseconds=milliseconds,
    )


def _by_group(probability: FloatArray, present: np.ndarray) -> FloatArray:
    """Average precision over prevalence of each group; nan where it is never present."""
    return np.array(
        [
            average_precision(p, here) / here.mean() if here.any() else np.nan
            for p, here in zip(probability.T, present.T, strict=True)
        ]
    )


def _milliseconds(predictor: Predictor, spectra: list[Spectrum]) -> float:
    times = []
    for spectrum in spectra[:30]:
        begun = time.perf_counter()
        predictor.predict([spectrum])
        times.append(time.perf_counter() - begun)
    return 1e3 * float(np.median(times))


def table(qualities: list[Quality]) -> str:
    """Write qualities as a Markdown table."""
    lines = [
        "| preset | spectra | gain over the prior [nats] (99 % bound) | lines present at S/N >= 4 | "
        "average precision | precision / prevalence (99 % bound) | rare groups | "
        "their precision / prevalence (99 % bound) | present where p >= 0.9 | ms a spectrum |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for q in qualities:
        lines.append(
            f"| {q.instrument} | {q.spectra} | {q.gain:.2f} ({q.gain_lower:.2f}) | {q.prevalence:.3f} | "
            f"{q.precision:.3f} | {q.precision / q.prevalence:.2f} ({q.ratio_lower:.2f}) | "
            f"{q.rare_groups} of {q.groups} | {q.rare_ratio:.2f} ({q.rare_ratio_lower:.2f}) | {q.sure_share:.3f} | "
            f"{q.milliseconds:.1f} |"
        )
    return "\n".join(lines)


def training_table(instruments: list[str]) -> str:
    """Write the training records as a Markdown table."""
    lines = [
        "| preset | parameters | spectra fitted / validation / held out | epochs | simulation [s] | training [s] | "
        "threads | held out: gain [nats] | held out: average precision (prevalence) | denoising deviance per count |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in instruments:
        record = training_record(name)
        spectra, scores, seconds = record["spectra"], record["held_out"], record["seconds"]
        lines.append(
            f"| {name} | {record['parameters']} | {spectra['fitted']} / {spectra['validation']} / "
            f"{spectra['held_out']} | {len(record['history'])} | {seconds['simulation']:.0f} | "
            f"{seconds['training']:.0f} | {record['machine']['threads']} | {scores['log_score_gain']:.2f} | "
            f"{scores['line_average_precision']:.3f} ({scores['line_prevalence']:.3f}) | "
            f"{scores['denoising_error']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure all shipped networks and write the table."""
    parser = argparse.ArgumentParser(description="Score the shipped networks on held-out spectra.")
    parser.add_argument("--count", type=int, default=1000, help="spectra per preset")
    parser.add_argument("--output", type=Path, default=Path("docs/tables/network.md"))
    arguments = parser.parse_args()
    instruments = known_instruments()
    text = (
        "Written by `python -m coronium.evaluation.network_quality`.\n\n"
        "Held-out spectra of the mission's kind: one exposure, S/N 1 to 10, drawn from the fit's default prior.\n\n"
        f"{table([measure(name, arguments.count) for name in instruments])}\n\n"
        "From the training records; S/N 0.7 to 300, 1, 2 or 4 exposures of any length. A simulation of a few seconds "
        "found the spectra of an earlier run.\n\n"
        f"{training_table(instruments)}\n"
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
