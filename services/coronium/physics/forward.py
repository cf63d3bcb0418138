"""From plasma to photons per bin (JAX: differentiable, float32, made to be batched with `vmap`).

The rate in bin i of channel c is

    r_i = K  *  sum_l A_l G_l(T, n) c_l exp(-N_H sigma_l) * W_c(i, l)  +  continuum  +  pseudo-continuum

with K = EM / 4 pi for a resolved source and EM / 4 pi d^2 for a star, abundance A, contribution function G
(photons cm3 s-1 per n_e n_H), atomic
correction c, interstellar column N_H and the line-spread function W integrated over the bin. Counts are the
rate times effective area and exposure.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from coronium.physics.atomic.interpolation import cubic_weights
from coronium.physics.layout import Bank, Layout
from coronium.physics.line_profile import transform

CONTINUUM_COMPONENTS = 2


class Plasma(NamedTuple):
    """The emitting plasma: all scalars but the abundances.

    Attributes
    ----------
    log_temperature, log_density : log10 of K and cm-3; the centre of a distribution over temperature
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


def _emissivity(log_table: Array, bank: Bank, plasma: Plasma, with_density: bool = True) -> Array:
    """ln emissivity of each row for a plasma, (rows,).

    The table has one axis per quantity: log T (or its centre), the width of its distribution where there is one, log n
    where rows depend on it. The nodes around the point are gathered as whole rows and summed by one product: several
    times quicker here than slices of all axes.
    """
    axes = [(bank.log_temperature, plasma.log_temperature)]
    if plasma.dem_width is not None:
        axes.append((bank.root_dem_width, jnp.sqrt(plasma.dem_width)))
    if with_density:
        axes.append((bank.log_density, plasma.log_density))
    at, weights = jnp.zeros(1, jnp.int32), jnp.ones(1, jnp.float32)
    for nodes, value in axes:
        first, own = cubic_weights(nodes, value)
        at = (at[:, None] * len(nodes) + first + jnp.arange(4, dtype=first.dtype)).reshape(-1)
        weights = (weights[:, None] * own).reshape(-1)
    return weights @ jnp.asarray(log_table).reshape(-1, log_table.shape[-1])[at]


def line_photons(bank: Bank, plasma: Plasma, ln_correction: Array) -> Array:
    """Photons cm-2 s-1 (sr-1) of each line before the instrument, (L,).

    Parameters
    ----------
    bank : Bank
    plasma : Plasma
    ln_correction : (L,) ln of the atomic corrections
    """
    ln_scale = (
        plasma.ln_emission_measure
        - bank.ln_dilution
        + bank.element_matrix @ (plasma.ln_abundance + jnp.log(bank.reference_abundance))
        + ln_correction
        - plasma.column * bank.line_cross_section
    )
    return jnp.exp(_emissivity(bank.line_log_emissivity, bank, plasma) + ln_scale)


def emission_weighted_log_temperature(bank: Bank, plasma: Plasma, ln_correction: Array) -> Array:
    """Mean log T weighted with the photons of all lines, scalar.

    For a Gaussian distribution of centre c and width w it is c + w^2 d ln(photons) / dc: the derivative of the Gaussian
    brings the factor (log T - c) / w^2 under the integral.
    """
    if plasma.dem_width is None:
        return plasma.log_temperature

    def ln_photons(centre: Array) -> Array:
        return jnp.log(line_photons(bank, plasma._replace(log_temperature=centre), ln_correction).sum())

    return plasma.log_temperature + plasma.dem_width**2 * jax.grad(ln_photons)(plasma.log_temperature)


def broad_photons(bank: Bank, plasma: Plasma) -> tuple[Array, Array]:
    """Photons cm-2 s-1 A-1 (sr-1) of the pseudo-continuum and the continuum in the broad bins, (M,) each."""
    ln_em = plasma.ln_emission_measure - bank.ln_dilution
    ln_abundance = plasma.ln_abundance + jnp.log(bank.reference_abundance)
    pseudo = _emissivity(bank.pseudo_log_emissivity, bank, plasma) + bank.pseudo_element @ ln_abundance + ln_em
    smooth = _emissivity(bank.continuum_log_emissivity, bank, plasma, with_density=False)
    metals = jnp.array([0.0, 1.0], jnp.float32) * plasma.ln_metals
    transmission = jnp.exp(-plasma.column * bank.broad_cross_section)
    count = len(bank.broad_width)
    summed = jax.ops.segment_sum(jnp.exp(pseudo), bank.pseudo_bin, count, indices_are_sorted=True)
    return (
        summed / bank.broad_width * transmission,
        jnp.exp(smooth.reshape(CONTINUUM_COMPONENTS, -1) + (metals + ln_em)[:, None]).sum(0) * transmission,
    )


def spread(layout: Layout, bank: Bank, photons: Array, response: Response) -> Array:
    """Lay lines on the bins through the line-spread function: (L,) photons to (K, B) photons per bin."""
    # The lines of a series are neighbours: slices, whose transposes are cheap where that of a gather is not. One
    # product per series: XLA hands those to its matrix library, but loops over a batched product itself.
    ends = list(accumulate(last - first for first, last in layout.line_runs))
    series = jnp.stack(
        [
            bank.lay[:, end - (last - first) : end] @ photons[first:last]
            for (first, last), end in zip(layout.line_runs, ends, strict=True)
        ]
    )
    series = series[np.asarray(layout.series)]
    cosine, sine = jnp.split(series, 2, axis=-1)
    # Of channels, not of blocks: these functions are dear.
    fwhm = (response.fwhm * bank.bins_per_angstrom)[:, None]
    shift = (response.shift * bank.bins_per_angstrom)[:, None]
    shape = transform(bank.omega, fwhm, layout.profile)
    owner = np.asarray(layout.block_channel)
    turn_cosine = (shape * jnp.cos(bank.omega * shift))[owner]
    turn_sine = (shape * jnp.sin(bank.omega * shift))[owner]
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

    def seen(values: Array) -> Array:
        return jnp.stack([values[first : first + layout.broad] for first in layout.first_broad])

    broad = jnp.einsum("kbw,kw->kb", bank.broad_smooth, seen(smooth))
    broad = broad + jnp.einsum("kbw,kw->kb", bank.broad_own, seen(pseudo))
    rate = lines + broad * bank.bin_width
    return rate * calibration_gain(bank, response)


def calibration_gain(bank: Bank, response: Response) -> Array:
    """Effective area over the nominal one, (K, B)."""
    return jnp.exp(jnp.einsum("q,qkb->kb", response.calibration, bank.calibration_modes))
