"""Scores on cases that can be worked out by hand."""

import numpy as np
import pytest

from coronium.network.scores import average_precision, bootstrap_lower, cell_of, log_score_gain


def test_the_prior_gains_nothing_and_certainty_gains_the_log_of_the_cells():
    flat = np.full((2, 4, 2), 1 / 8)
    sure = np.zeros((1, 4, 2))
    sure[0, 3, 1] = 1.0
    assert log_score_gain(flat, np.array([0, 3]), np.array([1, 1])) == pytest.approx([0.0, 0.0])
    assert log_score_gain(sure, np.array([3]), np.array([1])) == pytest.approx([np.log(8)])


def test_average_precision_of_a_perfect_a_reversed_and_a_mixed_order():
    present = np.array([True, True, False, False])
    assert average_precision(np.array([0.9, 0.8, 0.2, 0.1]), present) == 1.0
    assert average_precision(np.array([0.1, 0.2, 0.8, 0.9]), present) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.array([0.9, 0.2, 0.8, 0.1]), present) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision(np.array([0.5]), np.array([False])))


def test_values_beyond_the_grid_belong_to_its_outermost_cells():
    nodes = np.array([6.0, 6.1, 6.2])
    assert cell_of(np.array([5.0, 6.04, 6.06, 9.0]), nodes).tolist() == [0, 0, 1, 2]


def test_the_bootstrap_bound_of_a_mean_lies_where_theory_has_it():
    values = np.random.default_rng(3).normal(10.0, 1.0, 400)
    bound = bootstrap_lower(lambda index: float(values[index].mean()), len(values), draws=2000)
    assert bound == pytest.approx(values.mean() - 2.326 / 20.0, abs=0.03)
