"""Named parameters of a posterior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coronium.inference.programs import Physical
from coronium.inference.summaries import Summary, summarise
from coronium.physics.abundances import symbol
from coronium.physics.observation_model import ObservationModel
from coronium.physics.parameters import amplitude_prior
from coronium.physics.spectrum import SourceKind, Spectrum

PARSEC_CM = 3.0856775814913674e18
UNIFORM_SD = 1.0 / np.sqrt(12.0)


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
