"""Selection and summing of lines: what is kept carries the flux, and nothing is lost."""

import numpy as np
import pytest

from coronium.physics.atomic import assembly
from coronium.physics.atomic.assembly import LOG_DENSITY, LOG_TEMPERATURE, SOLVED_LOG_TEMPERATURE, IonLines
from coronium.physics.atomic.selection import choose_lines, fold_minor_elements


def _ion(element: int, stage: int, seed: int, lines: int = 60) -> IonLines:
    rng = np.random.default_rng(seed)
    level = np.arange(2, 12)
    peak = rng.uniform(5.8, 7.0)
    log_t, log_n = SOLVED_LOG_TEMPERATURE[:, None], LOG_DENSITY[None, :]
    population = np.stack(
        [-25.0 - 1.5 * k * 10 ** (6.0 - log_t) - 0.1 * k * np.logaddexp(0, 2.3 * (log_n - 9.5)) for k in range(10)]
    )
    return IonLines(
        element=element,
        stage=stage,
        ion_fraction=np.exp(-20.0 * (LOG_TEMPERATURE - peak) ** 2),
        wavelength=rng.uniform(165.0, 215.0, lines),
        theoretical=rng.uniform(size=lines) < 0.3,
        upper=rng.choice(level, lines),
        decay_rate=10 ** rng.uniform(6, 10, lines),
        level=level,
        log_population=population.astype(np.float32),
    )


def test_the_chosen_lines_carry_the_promised_share_at_every_node():
    rng = np.random.default_rng(3)
    flux = 10 ** (rng.uniform(-5, 0, size=(500, 1)) + rng.uniform(-0.5, 0.5, size=(500, 40)))
    share = flux / flux.sum(axis=0)
    kept = choose_lines(share, 0.99)
    assert share[kept].sum(axis=0).min() >= 0.99
    assert kept.sum() < len(kept)


def test_candidates_that_cannot_reach_the_share_are_an_error():
    with pytest.raises(ValueError, match="carry only"):
        choose_lines(np.full((5, 3), 0.1), 0.99)


def test_lines_not_kept_reappear_in_the_bins_of_the_pseudo_continuum():
    abundance = {26: 1e-4, 14: 5e-5}
    ions = [_ion(26, 12, seed=4), _ion(14, 10, seed=5)]
    kept = [np.arange(60) % 3 == 0, np.arange(60) % 4 == 0]
    bins, elements, log_pseudo = assembly.pseudo_continuum(ions, kept, abundance)
    edges = assembly.bin_edges()
    dropped = np.zeros((len(edges) - 1, len(LOG_TEMPERATURE), len(LOG_DENSITY)))
    for ion, mask in zip(ions, kept, strict=True):
        alone = np.arange(len(ion.wavelength))
        rows = assembly.tabulate_features(ion, alone, alone[~mask])
        flux = abundance[ion.element] * np.exp(rows.log_emissivity)
        number = np.searchsorted(edges, ion.wavelength[~mask], side="right") - 1
        np.add.at(dropped, number, flux)
    stored = np.zeros_like(dropped)
    weight = np.array([abundance[element] for element in elements])
    np.add.at(stored, bins, weight[:, None, None] * np.exp(log_pseudo))
    occupied = dropped.max(axis=(1, 2)) > 0
    np.testing.assert_allclose(stored[occupied], dropped[occupied], rtol=1e-3, atol=1e-40)
    assert not stored[~occupied].any()


def test_a_minor_element_of_a_bin_joins_the_main_one_without_loss():
    one = np.ones((2, 2))
    emissivity = {(0, 26): 100.0 * one, (0, 28): 0.01 * one}
    abundance = {26: 1e-4, 28: 1e-5}
    totals = np.full((1, 2, 2), 1e-2)
    merged = fold_minor_elements(emissivity, abundance, totals, least=1e-3)
    assert list(merged) == [(0, 26)]
    np.testing.assert_allclose(merged[0, 26] * 1e-4, 100.0 * 1e-4 + 0.01 * 1e-5)


def test_an_ion_is_named_as_spectroscopists_do():
    assert [_ion(26, stage, seed=1).name for stage in (4, 9, 10, 12, 20, 24)] == [
        "Fe IV",
        "Fe IX",
        "Fe X",
        "Fe XII",
        "Fe XX",
        "Fe XXIV",
    ]
