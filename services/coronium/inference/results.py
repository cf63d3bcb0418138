"""Named parameters and identified lines of a posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coronium.inference.predictive import Predictions
from coronium.inference.programs import Physical
from coronium.inference.summaries import Summary, summarise
from coronium.physics.abundances import symbol
from coronium.physics.line_groups import LineGroups
from coronium.physics.observation_model import Data, ObservationModel
from coronium.physics.parameters import amplitude_prior
from coronium.physics.spectrum import SourceKind, Spectrum, Statistic

PARSEC_CM = 3.0856775814913674e18
UNIFORM_SD = 1.0 / np.sqrt(12.0)
IDENTIFIED_PROBABILITY = 0.9
IDENTIFIED_SIGNAL_TO_NOISE = 3.0


@dataclass(frozen=True)
class Line:
    """An emission line or blend.

    Attributes
    ----------
    wavelength : Angstrom
    probability : that the data hold this line, given everything else and even odds
    flux, flux_error : photons cm-2 s-1 (sr-1)
    signal_to_noise : predicted by the posterior
    identified : probability >= 0.9 and signal to noise >= 3
    """

    label: str
    wavelength: float
    theoretical: bool
    probability: float
    flux: float
    flux_error: float
    signal_to_noise: float
    identified: bool


def parameter_summaries(
    model: ObservationModel,
    physical: Physical,
    i: int,
    r_hat: NDArray[np.float64],
    ess: NDArray[np.float64],
    spectrum: Spectrum,
) -> tuple[list[Summary], list[str], NDArray[np.float64]]:
    """Summaries of spectrum i's physical parameters, their names, and their draws (S, P)."""
    p, space = model.space.priors, model.space
    star = space.source is SourceKind.STAR
    distance = 0.0
    unit = "cm-5"
    if star and spectrum.distance_pc:
        distance = float(np.log10(4.0 * np.pi * (spectrum.distance_pc * PARSEC_CM) ** 2))
        unit = "cm-3"
    em_sd = amplitude_prior(space)[1]
    rows: list[tuple[str, str, NDArray, float, tuple[float, float] | None, str | None]] = [
        (
            "log_temperature",
            "dex(K)",
            physical.log_temperature[i],
            UNIFORM_SD * np.ptp(p.log_temperature),
            p.log_temperature,
            "log_temperature",
        ),
        (
            "log_density",
            "dex(cm-3)",
            physical.log_density[i],
            UNIFORM_SD * np.ptp(p.log_density),
            p.log_density,
            "log_density",
        ),
        (
            "log_emission_measure",
            f"dex({unit})",
            physical.log_emission_measure[i] + distance,
            float(np.hypot(em_sd, p.metallicity_sd)),
            None,
            "log_amplitude",
        ),
        # EM x A(Fe) over the reference abundance: what lines alone determine.
        (
            "log_emission_measure_iron",
            f"dex({unit})",
            physical.log_amplitude[i] + distance,
            em_sd,
            None,
            "log_amplitude",
        ),
        ("metallicity", "dex", physical.metallicity[i], p.metallicity_sd, None, "metallicity"),
    ]
    if space.gaussian_dem:
        low, high = np.log(p.dem_width)
        prior_sd = float(np.std(np.exp(np.linspace(low, high, 1001))))
        rows.append(("dem_width", "dex", physical.dem_width[i], prior_sd, p.dem_width, "dem_width"))
        rows.append(
            (
                "emission_weighted_log_temperature",
                "dex(K)",
                physical.emission_weighted_log_temperature[i],
                UNIFORM_SD * np.ptp(p.log_temperature),
                None,
                "log_temperature",
            )
        )
    if star:
        rows.append(
            (
                "log_column",
                "dex(cm-2)",
                physical.log_column[i],
                UNIFORM_SD * np.ptp(p.log_column),
                p.log_column,
                "log_column",
            )
        )
    median, ln_sd = p.model_error
    prior_sd = median * np.exp(0.5 * ln_sd**2) * np.sqrt(np.expm1(ln_sd**2))
    rows.append(("model_error", "relative", physical.model_error[i], float(prior_sd), None, "model_error"))
    for z in space.free_elements:
        relative = physical.log_abundance[i][:, space.layout.elements.index(z)] - physical.metallicity[i]
        name = f"abundance_{symbol(z).lower()}"
        rows.append((name, f"dex relative to {symbol(space.reference_element)}", relative, p.abundance_sd, None, name))
    summaries = []
    for name, row_unit, draws, prior_sd, bounds, latent in rows:
        at = space.position(latent) if latent else 0
        summaries.append(
            summarise(name, row_unit, draws, float(prior_sd), bounds, name == "dem_width", r_hat[at], ess[at])
        )
    return summaries, [r[0] for r in rows], np.stack([r[2] for r in rows], axis=1)


def identified_lines(model: ObservationModel, groups: LineGroups, data: Data, predictions: Predictions) -> list[Line]:
    """Which lines the data hold.

    The probability of a line compares, draw by draw, the likelihood of the data with the line and without it,
    everything else as the draw has it, at even odds. Exposures are added up.
    """
    good = np.asarray(data.good).sum(0) > 0
    area = (np.asarray(data.area) * np.asarray(data.good)).sum(0)
    counts = (np.asarray(data.counts) * np.asarray(data.good)).sum(0)
    read = (np.asarray(data.read_variance) * np.asarray(data.good)).sum(0)
    mean, photons = predictions.mean, predictions.photons
    total = np.zeros((len(groups.label), len(mean)))
    for g in range(len(groups.label)):
        bins = (groups.profile[g] > 1e-4) & good
        if not bins.any():
            continue
        flux = photons @ groups.membership[g]
        line = flux[:, None] * (groups.profile[g] * area)[bins]
        with_line = np.maximum(mean[:, bins], 1e-8)
        without = np.maximum(with_line - line, 1e-3 * with_line)
        total[g] = (
            _log(model, counts[bins], with_line, read[bins]) - _log(model, counts[bins], without, read[bins])
        ).sum(1)
    probability = (1.0 / (1.0 + np.exp(-np.clip(total, -60, 60)))).mean(axis=1)
    flux = photons @ groups.membership.T
    signal = groups.signal_to_noise(photons.mean(0), area, np.where(good, mean.mean(0) + read, 0.0))
    # A line whose window the data do not cover cannot be said to be there.
    signal = np.where([(w & good).any() for w in groups.window], signal, 0.0)
    # A blend is called by the member that shines most in this plasma.
    shining = np.argmax(groups.membership * photons.mean(0), axis=1)
    catalogue = model.catalogue
    return [
        Line(
            label=(catalogue.label[shining[g]] or groups.label[g].rstrip("+")) + ("+" if groups.blended[g] else ""),
            wavelength=float(catalogue.wavelength[shining[g]]),
            theoretical=bool(catalogue.theoretical[shining[g]]),
            probability=float(probability[g]),
            flux=float(np.median(flux[:, g])),
            flux_error=float(np.std(flux[:, g])),
            signal_to_noise=float(signal[g]),
            identified=bool(probability[g] >= IDENTIFIED_PROBABILITY and signal[g] >= IDENTIFIED_SIGNAL_TO_NOISE),
        )
        for g in range(len(groups.label))
    ]


def _log(model: ObservationModel, n: NDArray, mu: NDArray, read: NDArray) -> NDArray:
    """Log-likelihood per bin up to terms without mu."""
    if model.statistic is Statistic.POISSON:
        return n * np.log(mu) - mu
    v = mu + read if model.statistic is Statistic.COUNTS_WITH_READ_NOISE else np.broadcast_to(read, mu.shape) + 1e-30
    return -0.5 * ((n - mu) ** 2 / v + np.log(v))
