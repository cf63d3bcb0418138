"""The forward model: lines land where they should, and nothing is lost on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

import coronium.inference  # noqa: F401 - the model must stay in float32 where sums are in float64
from coronium.physics.absorption import hydrogenic_cross_section, neutral_helium_cross_section
from coronium.physics.atomic.table import load_table
from coronium.physics.forward import Response, emission_weighted_log_temperature, line_photons, spread
from coronium.physics.instruments.instrument import Profile
from coronium.physics.instruments.registry import get_instrument
from coronium.physics.line_groups import line_groups
from coronium.physics.line_profile import BETA_FWHM, GAUSSIAN_FWHM
from coronium.physics.observation_model import ModelCache, expected_counts, pack
from coronium.physics.parameters import model_error
from coronium.physics.simulator import Simulator, empty_spectrum


@pytest.fixture(scope="module")
def cache() -> ModelCache:
    return ModelCache(load_table())


def _direct(edges, wavelength, photons, fwhm, shift, profile):
    """The same sum, line by line, from the profile's integral."""

    def cumulative(x):
        if profile is Profile.BETA:
            u = x * BETA_FWHM / fwhm
            return 0.25 * u * (2 * u**2 + 3) / (1 + u**2) ** 1.5
        return 0.5 * erf(x * GAUSSIAN_FWHM / np.sqrt(2) / fwhm)

    total = np.zeros(len(edges) - 1)
    for place, strength in zip(wavelength, photons, strict=True):
        if strength > 0:
            total += strength * np.diff(cumulative(edges - place - shift))
    return total


@pytest.mark.parametrize("name", ["hinode-eis", "chandra-letg"])
@pytest.mark.parametrize("deviations", [-1.5, 0.0, 1.5])
def test_lines_are_spread_as_the_profile_says(cache, name, deviations):
    instrument = get_instrument(name)
    model = cache.get(instrument, empty_spectrum(instrument))
    rng = np.random.default_rng(0)
    count = len(model.catalogue.wavelength)
    photons = np.where(rng.random(count) < 0.05, rng.lognormal(size=count), 0.0)
    fwhm = np.array([c.fwhm * np.exp(c.fwhm_log_sd * deviations) for c in instrument.channels])
    shift = np.array([deviations * c.shift_sd for c in instrument.channels])
    response = Response(jnp.asarray(fwhm, jnp.float32), jnp.asarray(shift, jnp.float32), jnp.zeros(0))
    laid = spread(model.layout, model.arrays.bank, jnp.asarray(photons, jnp.float32), response)
    # A hundredth of what the brightest line puts into a bin.
    brightest = 0.01 * float(np.max(laid))
    for c, got in enumerate(model.layout.from_blocks(np.asarray(laid))):
        want = _direct(model.edges[c], model.catalogue.wavelength, photons, fwhm[c], shift[c], model.layout.profile)
        assert np.abs(got - want).max() < brightest


def test_the_model_is_float32_and_its_gradient_is_that_of_differences(cache):
    instrument = get_instrument("hinode-eis")
    spectrum = empty_spectrum(instrument)
    model = cache.get(instrument, spectrum)
    data = pack(model, spectrum)

    def total(z):
        source, background = expected_counts(model.space, model.arrays, data, z)
        assert source.dtype == background.dtype == jnp.float32
        return jnp.log(jnp.sum(source))

    z = jnp.asarray(0.3 * np.random.default_rng(1).standard_normal(model.space.size), jnp.float32)
    slope = jax.jit(jax.grad(total))(z)
    value = jax.jit(total)
    for name in ("log_temperature", "log_density", "log_amplitude", "metallicity"):
        step = jnp.zeros_like(z).at[model.space.position(name)].set(0.02)
        difference = (value(z + step) - value(z - step)) / 0.04
        assert slope[model.space.position(name)] == pytest.approx(float(difference), rel=0.02, abs=2e-3)


def test_simulated_spectra_reach_the_signal_to_noise_asked_for(cache):
    simulator = Simulator(cache, get_instrument("hinode-eis"))
    truths = [truth for _, truth in simulator.draw(20, np.random.default_rng(2), (2.0, 8.0))]
    assert min(t.signal_to_noise for t in truths) > 1.98
    assert max(t.signal_to_noise for t in truths) < 8.08


def test_simulated_counts_scatter_about_their_expectation(cache):
    simulator = Simulator(cache, get_instrument("chandra-letg"))
    (spectrum, truth), *_ = simulator.draw(1, np.random.default_rng(3), (5.0, 5.0 + 1e-6))
    source, background = expected_counts(
        simulator.model.space, simulator.model.arrays, simulator.data, jnp.asarray(truth.unknowns)
    )
    expected = simulator.model.layout.from_blocks(np.asarray(source + background))
    for channel, mean in zip(spectrum.channels, expected, strict=True):
        total, want = channel.counts[channel.mask].sum(), mean[channel.mask].sum()
        relative = float(model_error(simulator.model.space, jnp.asarray(truth.unknowns)))
        assert abs(total - want) < 5.0 * np.sqrt(want + (relative * want) ** 2 / 50)


@pytest.mark.parametrize("width", [0.03, 0.05, 0.1, 0.2, 0.3])
def test_a_temperature_distribution_is_exact_between_the_nodes_of_the_table(cache, width):
    instrument = get_instrument("hinode-eis")
    model = cache.get(instrument, empty_spectrum(instrument), gaussian_dem=True)
    state = model.state(jnp.zeros(model.space.size))
    banks = [cache.get(instrument, empty_spectrum(instrument), gaussian_dem=d).arrays.bank for d in (True, False)]
    dem, single = (jax.tree.map(jnp.asarray, bank) for bank in banks)

    @jax.jit
    def distributed(log_t):
        plasma = state.plasma._replace(log_temperature=log_t, dem_width=jnp.float32(width))
        weighted = emission_weighted_log_temperature(dem, plasma, state.ln_line_correction)
        return line_photons(dem, plasma, state.ln_line_correction), weighted

    @jax.jit
    def isothermal(log_t):
        plasma = state.plasma._replace(dem_width=None)
        return jax.vmap(lambda t: line_photons(single, plasma._replace(log_temperature=t), state.ln_line_correction))(
            log_t
        )

    low, high = np.asarray(single.log_temperature)[[0, -1]]
    fine = np.linspace(low, high, 701)
    photons = np.asarray(isothermal(jnp.asarray(fine, jnp.float32)), float)
    for log_t in np.random.default_rng(5).uniform(5.8, 7.4, 50):
        weight = np.exp(-0.5 * ((fine - log_t) / width) ** 2) * (fine[1] - fine[0]) / (width * np.sqrt(2 * np.pi))
        weight[[0, -1]] *= 0.5
        wanted = weight @ photons
        strong = wanted > 0.01 * wanted.max()
        got, weighted = distributed(jnp.float32(log_t))
        np.testing.assert_allclose(np.asarray(got)[strong], wanted[strong], rtol=0.005)
        assert float(weighted) == pytest.approx((weight * fine) @ photons.sum(1) / wanted.sum(), abs=0.003)


def test_groups_hold_each_line_once_and_carry_labels(cache):
    instrument = get_instrument("chandra-letg")
    groups = line_groups(cache.get(instrument, empty_spectrum(instrument)))
    assert groups.membership.sum(axis=0).max() <= 1.0
    assert any(label.startswith("Fe XVII 15.01") for label in groups.label)
    assert np.all(np.diff(groups.wavelength) > 0)


def test_absorption_cross_sections_have_their_threshold_values():
    assert hydrogenic_cross_section(np.array([911.7]), 1)[0] == pytest.approx(6.30e-18, rel=0.01)
    assert hydrogenic_cross_section(np.array([912.5]), 1)[0] == 0.0
    assert neutral_helium_cross_section(np.array([504.0]))[0] == pytest.approx(7.4e-18, rel=0.03)
