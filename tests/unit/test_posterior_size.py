"""A posterior message never exceeds 64 KiB and 512 draws, whatever was fitted, and says of itself what it is."""

import numpy as np
import pytest

from coronium.client.reading import read_result
from coronium.contract.limits import MAX_POSTERIOR_BYTES, MAX_POSTERIOR_DRAWS
from coronium.fit import Diagnostics, FitResult, Plasma, Rung
from coronium.fitting.message_size import LEAST_DRAWS, limit_size
from coronium.fitting.messages import posterior_message
from coronium.inference.lines import Line
from coronium.inference.predictive import Band
from coronium.inference.summaries import Constraint, Summary
from coronium.physics.spectrum import Channel, SourceKind, Spectrum, Statistic
from coronium.v1 import features_pb2, posterior_pb2
from tests.unit.posterior_factory import observation, posterior

BINS = 37


def summary(name: str) -> Summary:
    return Summary(name, "dex", 1.0, 1.0, 0.1, (0.9, 1.1), (0.8, 1.2), Constraint.MEASURED, 0.0, False, 1.01, 400.0)


def line(number: int) -> Line:
    identified = number % 4 == 0
    return Line(f"Fe XVII {number:.3f}", float(number), False, number / 1000, 1e-4, 1e-5, number / 10, identified)


def band(name: str, bins: int) -> Band:
    values = np.arange(bins, dtype=np.float32) + 10
    return Band(name, values, values - 3, values, values + 4, 2)


def fitted(channels: int, parameters: int, lines: int, draws: int) -> FitResult:
    """Return a fit of channels with `BINS` bands' bins each."""
    names = tuple(f"abundance_{number:03d}" for number in range(parameters))
    return FitResult(
        spectrum=Spectrum("capella", "chandra-letg", SourceKind.STAR, (), np.zeros(1), np.ones(1)),
        plasma=Plasma.ISOTHERMAL,
        rung=Rung.NUTS,
        parameters=tuple(summary(name) for name in names),
        lines=tuple(line(number) for number in range(lines)),
        draw_names=names,
        draws=np.arange(draws, dtype=np.float32)[:, None] + np.arange(parameters, dtype=np.float32) / 1000,
        predictive=tuple(band(f"channel-{number:02d}", BINS) for number in range(channels)),
        diagnostics=Diagnostics(1.0, 400.0, 0, 0.1, 0.0, 0.1, 1.0, 1.0, 1.0, 0.5, 1.0, 1, 7.0),
        flags=(),
        versions=dict.fromkeys(("software", "emissivity_table", "instrument", "priors"), "1"),
        unknowns=np.zeros((1, 1)),
    )


def message_of(**size: int) -> posterior_pb2.Posterior:
    return posterior_message(fitted(**size), features_pb2.Features(observation=observation()))


def test_what_fits_is_published_whole():
    message = message_of(channels=2, parameters=20, lines=100, draws=256)
    assert len(message.draws.values) == 256 * 20
    assert [len(band.median) for band in message.predictive] == [BINS, BINS]
    assert [band.rebinned for band in message.predictive] == [2, 2]
    assert len(message.lines) == 100
    assert message.ByteSize() <= MAX_POSTERIOR_BYTES


def test_there_are_never_more_than_512_draws():
    message = message_of(channels=1, parameters=2, lines=1, draws=5000)
    draws = read_result(message).draws
    assert draws is not None
    assert len(draws) == MAX_POSTERIOR_DRAWS
    # Evenly over all chains, not the first of them.
    assert draws["abundance_000"][-1] > 4900
    np.testing.assert_allclose(np.diff(draws["abundance_000"]), 5000 / MAX_POSTERIOR_DRAWS, atol=1)


def test_the_draws_give_way_first_and_only_as_far_as_needed():
    message = message_of(channels=4, parameters=30, lines=300, draws=512)
    count = len(message.draws.values) // 30
    assert LEAST_DRAWS <= count < 512
    assert MAX_POSTERIOR_BYTES - 30 * 4 - 64 < message.ByteSize() <= MAX_POSTERIOR_BYTES
    assert {len(band.median) for band in message.predictive} == {BINS}
    assert len(message.lines) == 300


def test_the_bands_give_way_next_and_stay_what_they_say_they_are():
    message = message_of(channels=64, parameters=30, lines=300, draws=512)
    assert message.ByteSize() <= MAX_POSTERIOR_BYTES
    assert len(message.draws.values) == LEAST_DRAWS * 30
    assert len(message.lines) == 300
    found = message.predictive[0]
    merged = found.rebinned // 2
    assert merged in (2, 4)
    assert {band.rebinned for band in message.predictive} == {found.rebinned}
    assert len(found.median) == -(-BINS // merged)
    whole = band("", BINS)
    assert sum(found.median) == pytest.approx(whole.median.sum())
    assert found.median[0] == whole.median[:merged].sum()
    assert found.wavelength[0] == pytest.approx(whole.wavelength[:merged].mean())
    assert found.wavelength[-1] == whole.wavelength[-1]
    assert found.median[0] - found.lower[0] == pytest.approx(3 * merged**0.5)
    assert found.upper[0] - found.median[0] == pytest.approx(4 * merged**0.5)


def test_a_merged_band_still_belongs_to_its_data():
    pytest.importorskip("matplotlib")
    from coronium.pictures.panels import panels

    message = posterior()
    limit_size(message, message.ByteSize() - 512 * 4 * 6 - 400)
    result = read_result(message)
    assert result.predictive["letg-negative"].rebinned == 2
    edges = np.linspace(18.0, 23.0, 41)
    ones = np.ones((1, 40), np.float32)
    channel = Channel("letg-negative", edges, ones, ones, ones > 0, Statistic.POISSON)
    data = Spectrum("capella", "chandra-letg", SourceKind.STAR, (channel,), np.zeros(1), np.ones(1))
    assert sum(len(panel.data) for panel in panels(result, data)) == 20


def test_the_identified_lines_outlast_the_others():
    message = message_of(channels=8, parameters=30, lines=1500, draws=512)
    assert message.ByteSize() <= MAX_POSTERIOR_BYTES
    identified = [line for line in message.lines if line.identified]
    others = [line.probability for line in message.lines if not line.identified]
    assert len(identified) == 375
    assert 0 < len(others) < 1125
    assert min(others) > (1125 - len(others)) / 1000
    assert [line.wavelength for line in message.lines] == sorted(line.wavelength for line in message.lines)


@pytest.mark.parametrize("limit", [40_000, 10_000, 5_000, 10])
def test_it_never_fails_and_the_summaries_always_stay(limit: int):
    message = message_of(channels=8, parameters=20, lines=1500, draws=512)
    limit_size(message, limit)
    assert len(message.parameters) == 20
    assert message.diagnostics.max_r_hat == 1.0
    if limit > 3_000:
        assert message.ByteSize() <= limit
