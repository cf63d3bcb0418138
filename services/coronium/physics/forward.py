"""From plasma to photons per bin (JAX: differentiable, float32, made to be batched with `vmap`).

The rate in bin i of channel c is

    r_i = K  *  sum_l A_l G_l(T, n) c_l exp(-N_H sigma_l) * W_c(i, l)  +  continuum  +  pseudo-continuum

with K = EM / 4 pi for a resolved source and EM / 4 pi d^2 for a star, abundance A, contribution function G
(photons cm3 s-1 per n_e n_H), atomic
correction c, interstellar column N_H and the line-spread function W integrated over the bin. Counts are the
rate times effective area and exposure.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from coronium.physics.atomic.interpolation import cubic_weights
from coronium.physics.layout import Bank, Layout
from coronium.physics.line_profile import transform

DEM_NODES = 13
DEM_POWER = 4
"""The distribution over temperature is (1 - x^2 / (2 p + 3))^p, of standard deviation one: a Gaussian without the far
tails, where a trace of plasma at another temperature would outshine the rest. It vanishes smoothly, so that equally
spaced nodes converge fast; Gauss-Hermite nodes lie a standard deviation apart, wider than many a line's own range of
temperatures, and make false modes."""
CONTINUUM_COMPONENTS = 2


class Plasma(NamedTuple):
    """The emitting plasma: all scalars but the abundances.

    Attributes
    ----------
    log_temperature, log_density : log10 of K and cm-3
    dem_width : standard deviation of log T in dex; None for an isothermal plasma
    ln_emission_measure : ln of cm-5, or of cm-3 over 4 pi d^2
    ln_abundance : (P,) ln of abundance over its reference, per element of the layout
    ln_metals : ln of the metallicity that scales the metals' continuum
    column : interstellar hydrogen, 1e18 cm-2
    """

    log_temperature: Array
    log_density: Array
    dem_width: Array | None
    ln_emission_measure: Array
    ln_abundance: Array
    ln_metals: Array
    column: Array


class Response(NamedTuple):
    """What the instrument does beyond its nominal response; (C,) but for the calibration.

    Attributes
    ----------
    fwhm : Angstrom
    shift : Angstrom
    calibration : (Q,) latent amplitudes of the calibration modes
    """

    fwhm: Array
    shift: Array
    calibration: Array


def temperature_nodes(plasma: Plasma) -> tuple[Array, Array]:
    """Nodes of the temperature distribution: log T (D,) and weights (D,)."""
    if plasma.dem_width is None:
        return plasma.log_temperature[None], jnp.ones(1, jnp.float32)
    reach = np.sqrt(2 * DEM_POWER + 3)
    nodes = np.linspace(-reach, reach, DEM_NODES + 2)[1:-1]
    weights = (1.0 - (nodes / reach) ** 2) ** DEM_POWER
    return (
        plasma.log_temperature + plasma.dem_width * jnp.asarray(nodes, jnp.float32),
        jnp.asarray(weights / weights.sum(), jnp.float32),
    )


def _emissivity(log_table: Array, bank: Bank, log_t: Array, log_n: Array | None) -> Array:
    """ln emissivity of each row at one temperature and density, (rows,).

    The table is (nT, nN, rows), or (nT, rows) without a density. The nodes around the point are gathered as whole
    rows and summed by one product: several times quicker here than slices of both axes.
    """
    first, weights = cubic_weights(bank.log_temperature, log_t)
    nodes = first + jnp.arange(4, dtype=first.dtype)
    if log_n is not None:
        column, weights_n = cubic_weights(bank.log_density, log_n)
        columns = column + jnp.arange(4, dtype=column.dtype)
        nodes = (nodes[:, None] * log_table.shape[1] + columns).reshape(-1)
        weights = (weights[:, None] * weights_n).reshape(-1)
    return weights @ jnp.asarray(log_table).reshape(-1, log_table.shape[-1])[nodes]


def line_photons(bank: Bank, plasma: Plasma, ln_correction: Array) -> Array:
    """Photons cm-2 s-1 (sr-1) of each line before the instrument, (L,).

    Parameters
    ----------
    bank : Bank
    plasma : Plasma
    ln_correction : (L,) ln of the atomic corrections
    """
    log_t, weights = temperature_nodes(plasma)
    ln_scale = (
        plasma.ln_emission_measure
        - bank.ln_dilution
        + bank.element_matrix @ (plasma.ln_abundance + jnp.log(bank.reference_abundance))
        + ln_correction
        - plasma.column * bank.line_cross_section
    )
    ln_g = jax.vmap(lambda t: _emissivity(bank.line_log_emissivity, bank, t, plasma.log_density))(log_t)
    return jnp.einsum("d,dl->l", weights, jnp.exp(ln_g + ln_scale))


def broad_photons(bank: Bank, plasma: Plasma) -> tuple[Array, Array]:
    """Photons cm-2 s-1 A-1 (sr-1) of the pseudo-continuum and the continuum in the broad bins, (M,) each."""
    log_t, weights = temperature_nodes(plasma)
    ln_em = plasma.ln_emission_measure - bank.ln_dilution
    ln_abundance = plasma.ln_abundance + jnp.log(bank.reference_abundance)

    def at(t: Array) -> tuple[Array, Array]:
        pseudo = _emissivity(bank.pseudo_log_emissivity, bank, t, plasma.log_density)
        pseudo = pseudo + bank.pseudo_element @ ln_abundance + ln_em
        smooth = _emissivity(bank.continuum_log_emissivity, bank, t, None).reshape(CONTINUUM_COMPONENTS, -1)
        metals = jnp.array([0.0, 1.0], jnp.float32) * plasma.ln_metals
        return (
            bank.pseudo_share @ jnp.exp(pseudo),
            jnp.exp(smooth + (metals + ln_em)[:, None]).sum(0),
        )

    pseudo, smooth = jax.vmap(at)(log_t)
    transmission = jnp.exp(-plasma.column * bank.broad_cross_section)
    return weights @ pseudo * transmission, weights @ smooth * transmission


def spread(layout: Layout, bank: Bank, photons: Array, response: Response) -> Array:
    """Lay lines on the bins through the line-spread function: (L,) photons to (K, B) photons per bin."""
    padded = jnp.pad(photons, (0, layout.lines))
    # The lines of a series are neighbours: slices, whose transposes are cheap where that of a gather is not. One
    # product per series: XLA hands those to its matrix library, but loops over a batched product itself.
    series = jnp.stack([bank.lay[u] @ padded[s : s + layout.lines] for u, s in enumerate(layout.first_line)])
    series = series[np.asarray(layout.series)]
    cosine, sine = jnp.split(series, 2, axis=-1)
    owner = np.asarray(layout.block_channel)
    fwhm = (response.fwhm[owner] * bank.bins_per_angstrom)[:, None]
    shift = (response.shift[owner] * bank.bins_per_angstrom)[:, None]
    shape = transform(bank.omega, fwhm, layout.profile)
    turn_cosine, turn_sine = shape * jnp.cos(bank.omega * shift), shape * jnp.sin(bank.omega * shift)
    turned = [cosine * turn_cosine - sine * turn_sine, cosine * turn_sine + sine * turn_cosine]
    return jnp.concatenate(turned, axis=-1) @ bank.sum_up.T


def source_rate(layout: Layout, bank: Bank, plasma: Plasma, ln_correction: Array, response: Response) -> Array:
    """Photons cm-2 s-1 (sr-1) per bin of lines and continua, (K, B), calibration error included.

    Parameters
    ----------
    layout : Layout
    bank : Bank
    plasma : Plasma
    ln_correction : (L,)
    response : Response
    """
    lines = spread(layout, bank, line_photons(bank, plasma, ln_correction), response)
    pseudo, smooth = broad_photons(bank, plasma)
    rate = lines + (bank.broad_smooth @ smooth + bank.broad_own @ pseudo) * bank.bin_width
    return rate * jnp.exp(jnp.einsum("q,qkb->kb", response.calibration, bank.calibration_modes))
