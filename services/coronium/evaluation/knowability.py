"""What a spectrum can know before it is taken: sd(log n) and sd(log T) by Fisher information over (T, n, S/N)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from coronium.evaluation.picture_style import instrument_title, picture
from coronium.inference.likelihood import fisher
from coronium.inference.summaries import UNCONSTRAINED_SD
from coronium.physics.atomic.table import load_table
from coronium.physics.forward import line_photons
from coronium.physics.instruments import get_instrument
from coronium.physics.instruments.registry import PRESETS
from coronium.physics.observation_model import ModelCache, expected_counts
from coronium.physics.parameters import LN10, Priors, amplitude_prior
from coronium.physics.simulator import Simulator
from coronium.physics.spectrum import FloatArray

SIGNAL_TO_NOISE = (2.0, 5.0, 10.0)
TEMPERATURES = np.linspace(5.9, 7.3, 15)
DENSITIES = np.linspace(8.25, 11.75, 15)
UNIFORM_SD = 1.0 / np.sqrt(12.0)


@dataclass(frozen=True)
class Map:
    """Posterior standard deviations over temperature and density at one S/N, dex.

    Attributes
    ----------
    log_density_sd, log_temperature_sd : (T, N)
    density_prior_sd, temperature_prior_sd : float
    """

    instrument: str
    signal_to_noise: float
    log_density_sd: FloatArray
    log_temperature_sd: FloatArray
    density_prior_sd: float
    temperature_prior_sd: float


def knowledge(
    simulator: Simulator, log_t: FloatArray, log_n: FloatArray, signal_to_noise: float
) -> tuple[FloatArray, FloatArray]:
    """Posterior sd of log T and log n at points (P,), all other unknowns free about their prior's centre.

    Temperature and density enter in dex, with a Gaussian of the uniform prior's variance in its place.
    """
    model, data = simulator.model, jax.tree.map(jnp.asarray, simulator.data)
    space, priors = model.space, model.space.priors
    mean_sd = amplitude_prior(space)[1]
    at_t, at_n, at_a = (space.position(k) for k in ("log_temperature", "log_density", "log_amplitude"))

    @jax.jit
    def counts(z, arrays):
        source, background = expected_counts(space, arrays, data, z)
        state = model.state(z)
        return source, background, line_photons(arrays.bank, state.plasma, state.ln_line_correction)

    information = jax.jit(lambda z, arrays: fisher(space, model.statistic, arrays, data, z))
    arrays = jax.tree.map(jnp.asarray, model.arrays)
    bounds = (priors.log_temperature, priors.log_density)
    sd = np.zeros((2, len(log_t)))
    for p, point in enumerate(zip(log_t, log_n, strict=True)):
        z = np.zeros(space.size, np.float32)
        slope = np.ones(space.size)
        for at, value, (low, high) in zip((at_t, at_n), point, bounds, strict=True):
            latent = norm.ppf((value - low) / (high - low))
            z[at] = latent
            slope[at] = 1.0 / ((high - low) * norm.pdf(latent))
        source, background, photons = (np.asarray(a, float) for a in counts(jnp.asarray(z), arrays))
        scale = simulator.scale_to(signal_to_noise, source, background, photons)
        z[at_a] += np.log10(scale) / mean_sd
        prior = np.ones(space.size)
        prior[[at_t, at_n]] = [1.0 / (UNIFORM_SD * (high - low)) ** 2 for low, high in bounds]
        prior[at_a] = 0.0
        total = np.asarray(information(jnp.asarray(z), arrays), float) * np.outer(slope, slope) + np.diag(prior)
        total[at_a, at_a] += 1e-6 / LN10
        sd[:, p] = np.sqrt(np.diag(np.linalg.inv(total))[[at_t, at_n]])
    return sd[0], sd[1]


def maps(instrument: str, cache: ModelCache, priors: Priors | None = None) -> Iterator[Map]:
    """Maps of one preset at each S/N."""
    simulator = Simulator(cache, get_instrument(instrument), priors)
    own = simulator.model.space.priors
    t, n = np.meshgrid(TEMPERATURES, DENSITIES, indexing="ij")
    for level in SIGNAL_TO_NOISE:
        sd_t, sd_n = knowledge(simulator, t.ravel(), n.ravel(), level)
        yield Map(
            instrument,
            level,
            sd_n.reshape(t.shape),
            sd_t.reshape(t.shape),
            UNIFORM_SD * (own.log_density[1] - own.log_density[0]),
            UNIFORM_SD * (own.log_temperature[1] - own.log_temperature[0]),
        )


def write_pictures(folder: Path) -> list[Path]:
    """Draw the maps of all presets; return the two files, for density and for temperature."""
    cache = ModelCache(load_table())
    found = {name: list(maps(name, cache)) for name in PRESETS}
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "knowability-density.png", folder / "knowability-temperature.png"]
    _draw(found, files[0], "log_density_sd", "density_prior_sd", 1.2, r"sd of $\log n_{\mathrm{e}}$, dex")
    _draw(found, files[1], "log_temperature_sd", "temperature_prior_sd", 0.2, r"sd of $\log T$, dex")
    return files


def _draw(found: dict[str, list[Map]], file: Path, field: str, prior: str, largest: float, label: str) -> None:
    with picture(file, 1.75 * len(found) + 0.9) as figure:
        axes = figure.subplots(len(found), len(SIGNAL_TO_NOISE), sharex=True, sharey=True)
        for across, (name, row) in zip(axes, found.items(), strict=True):
            for axis, one in zip(across, row, strict=True):
                values = getattr(one, field)
                shown = axis.pcolormesh(
                    TEMPERATURES, DENSITIES, values.T, vmin=0, vmax=largest, cmap="viridis_r", shading="gouraud"
                )
                limit = UNCONSTRAINED_SD * getattr(one, prior)
                axis.contour(TEMPERATURES, DENSITIES, values.T, levels=[limit], colors="tab:red", linewidths=1.2)
                thin = [x for x in (0.1, 0.3, 0.5) if x < limit] if largest > 0.5 else [0.01, 0.03, 0.1]
                lines = axis.contour(TEMPERATURES, DENSITIES, values.T, levels=thin, colors="white", linewidths=0.6)
                axis.clabel(lines, fontsize=6, fmt="%g")
                if axis in axes[0]:
                    axis.set_title(f"S/N {one.signal_to_noise:g}")
            across[0].set_ylabel(f"{instrument_title(name)}\n" + r"$\log n_{\mathrm{e}}$", fontsize=7)
        for axis in axes[-1]:
            axis.set_xlabel(r"$\log T$")
        figure.subplots_adjust(left=0.11, right=0.87, top=0.95, bottom=0.07, wspace=0.08, hspace=0.12)
        figure.colorbar(shown, cax=figure.add_axes((0.895, 0.07, 0.02, 0.88)), label=label)
