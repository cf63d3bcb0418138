"""Chains run until they agree, in a batch that is kept full, and nobody's draws depend on who was beside it."""

import numpy as np
import pytest

from coronium.inference.engine import MOST_MODES
from coronium.inference.mode_choice import Choice
from coronium.inference.nuts import Chain, Round
from coronium.inference.programs import SamplerSettings
from coronium.inference.walk import Walk, walked
from coronium.physics.observation_model import Data

SIZE = 3
SETTINGS = SamplerSettings(most_rounds=5)


class NormalRounds:
    """Independent draws of each metric; spectra with odd seeds have chains that never agree."""

    settings = SETTINGS

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.rounds = 0

    def round(self, data, means, factors, starts, step_sizes, seeds, numbers):
        self.rounds += 1
        assert len(seeds) == self.batch
        z = []
        for i, (seed, number) in enumerate(zip(seeds, numbers, strict=True)):
            normal = np.random.default_rng([seed, number]).standard_normal((SETTINGS.chains, SETTINGS.draws, SIZE))
            apart = 9.0 * (seed % 2) * np.arange(SETTINGS.chains)[:, None, None]
            z.append(means[i][:, None] + np.einsum("cij,csj->csi", factors[i], normal) + apart)
        draws = np.array(z)
        none = np.zeros(draws.shape[:3])
        return Round(Chain(draws, none.astype(bool), none), step_sizes)


def walk(seed: int, modes: int = 1) -> Walk:
    share = np.zeros(MOST_MODES)
    share[:modes] = 1.0 / modes
    found = np.zeros((MOST_MODES, SIZE)), np.array([np.eye(SIZE)] * MOST_MODES)
    data = Data(*[np.zeros((1, 1, 1), np.float32)] * 5, *[np.zeros(1, np.float32)] * 3)
    return Walk(seed, data, seed, Choice(list(range(modes)), share), found, SETTINGS.chains, np.ones(SIZE, bool))


def test_chains_that_agree_stop_after_two_rounds_and_others_have_their_chance():
    agreeing, differing = walked(NormalRounds(2), [[walk(2), walk(3)]])
    assert (len(agreeing.rounds), len(differing.rounds)) == (2, SETTINGS.most_rounds)


def test_everyone_comes_back_once_and_free_places_are_taken():
    engine = NormalRounds(2)
    found = list(walked(engine, [[walk(0), walk(1)], [walk(2), walk(4)]]))
    assert sorted(w.place for w in found) == [0, 1, 2, 4]
    # Five of the one that differs, with each of the others beside it for a time; batch by batch it would be seven.
    assert engine.rounds == 6


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_draws_do_not_depend_on_who_was_beside(batch):
    [alone] = walked(NormalRounds(1), [[walk(5)]])
    together = {w.place: w for w in walked(NormalRounds(batch), [[walk(i)] for i in range(7)])}
    np.testing.assert_array_equal(together[5].kept.z, alone.kept.z)
    np.testing.assert_array_equal(together[5].means, alone.means)


def test_the_first_round_is_never_kept_and_of_many_the_later_half_is():
    for rounds, kept in ((2, 1), (3, 2), (4, 2), (5, 3)):
        w = walk(2)
        for number in range(rounds):
            z = np.full((SETTINGS.chains, SETTINGS.draws, SIZE), float(number)) + np.eye(SIZE)[number % SIZE]
            w.add(Chain(z, z[..., 0] > 9, z[..., 0]), w.step_size)
        assert w.kept.z.shape[1] == kept * SETTINGS.draws
        assert w.kept.z.min() >= rounds - kept


def test_chains_are_dealt_to_the_modes_and_each_mode_learns_from_its_own():
    w = walk(4, modes=3)
    assert w.owner.tolist() == [0, 1, 2, 0]
    z = np.random.default_rng(0).standard_normal((SETTINGS.chains, SETTINGS.draws, SIZE))
    z[1] += 40.0
    w.add(Chain(z, z[..., 0] > 99, z[..., 0]), w.step_size)
    assert np.abs(w.means[1] - 40.0).max() < 1.0
    assert np.abs(w.means[0]).max() < 1.0


def test_a_round_goes_on_where_the_last_one_ended():
    w = walk(2)
    z = np.random.default_rng(1).standard_normal((SETTINGS.chains, SETTINGS.draws, SIZE))
    w.add(Chain(z, z[..., 0] > 9, z[..., 0]), w.step_size)
    begins = w.means[w.owner] + np.einsum("cij,cj->ci", w.choleskys[w.owner], w.start())
    np.testing.assert_allclose(begins, z[:, -1], atol=1e-10)
