"""Joining the two population models of an ion (needs fiasco)."""

import numpy as np
import pytest

build = pytest.importorskip("coronium.physics.atomic.build", reason="needs coronium[atomic]")


def test_a_level_fed_by_capture_stays_bounded_between_the_densities_that_were_solved():
    single = np.full((2, 3, len(build.LOG_DENSITY)), -138.0)
    single[0] = -40.0 - np.logaddexp(0.0, 2.3 * (build.LOG_DENSITY - 10.0))
    single[1, :, ::5] = -90.0
    solved = np.isin(build.LOG_DENSITY, build.PAIR_LOG_DENSITY)
    pair = np.full((2, 3, solved.sum()), -45.0)
    pair[0] = single[0][:, solved] + 0.2
    joined = build.extend_density(single, pair)
    np.testing.assert_allclose(joined[0], single[0] + 0.2)
    np.testing.assert_allclose(joined[1], -45.0)


def test_a_missing_chianti_tree_is_one_sentence(tmp_path):
    from coronium.physics.atomic.table import AtomicDataError

    with pytest.raises(AtomicDataError, match="no CHIANTI database"):
        build.build(tmp_path, tmp_path / "out.npz.xz")
