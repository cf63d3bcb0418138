"""What a spectrum can say of density before it is taken, against numbers that were known before.

Those are rounded (EIS to 0.01 dex, LETG to 0.1 dex) and do not say in detail what lines and S/N were: half of their
last digit is allowed on either side. More unknowns can only widen a posterior, and never past the prior.
"""

import pytest

from coronium.evaluation.knowability import UNIFORM_SD, Observatory
from coronium.evaluation.knowability_check import checks, observatories
from coronium.physics.atomic.table import load_table
from coronium.physics.observation_model import ModelCache

PRIOR_SD = 2.0 * UNIFORM_SD
HALF_DIGIT_EIS, HALF_DIGIT_LETG = 0.005, 0.05


@pytest.fixture(scope="module")
def instruments() -> tuple[Observatory, Observatory]:
    """EIS, and LETG 17-23 A."""
    return observatories(ModelCache(load_table()))


def test_where_the_bands_do_not_know_the_density_ours_do_not_either(instruments):
    eis, letg, cool = checks(*instruments)
    for check, rounding in ((eis, HALF_DIGIT_EIS), (letg, HALF_DIGIT_LETG)):
        low, high = check.wanted
        for found in (check.three_free, check.all_free):
            assert low - rounding < found[0] <= found[1] < high + rounding, check
    # Cool plasma shines in O VII alone, and there density shows earlier.
    assert cool.all_free[0] < letg.all_free[0]
    for check in (eis, letg, cool):
        assert all(a <= b + 1e-6 for a, b in zip(check.three_free, check.all_free, strict=True))
        assert check.all_free[1] <= PRIOR_SD + 1e-3


def test_eis_knows_the_density_of_fe_xii_plasma_from_the_fe_xii_lines(instruments):
    eis, _ = instruments
    point = eis.at(6.2, 9.5, 5.0)
    assert eis.sd(point)[1] < 0.25
    assert all(line.startswith("Fe XII ") for line in eis.telling_lines(point)[:2])


def test_letg_knows_the_density_above_ten_to_the_ten_from_the_oxygen_triplet(instruments):
    _, letg = instruments
    point = letg.at(6.3, 10.5, 5.0)
    assert letg.sd(point)[1] < 0.25
    assert all(line.startswith("O VII ") for line in letg.telling_lines(point)[:2])
