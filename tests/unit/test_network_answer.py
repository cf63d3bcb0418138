"""The network's word as a result: triage, and replaced by any fit."""

import numpy as np
import pytest

from coronium.contract.conversion import spectrum_from_message
from coronium.contract.identity import single_result_id
from coronium.fit import Fitter, Plasma
from coronium.fitting.jobs import FitJob, Fitted
from coronium.fitting.messages import model_versions
from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.fitting.worker import FittingWorker
from coronium.physics.instruments import get_instrument
from coronium.results.records import is_complete
from coronium.runtime.stage import Rejected
from coronium.v1 import features_pb2, posterior_pb2
from tests.unit.posterior_factory import observation

LOG_T = np.linspace(5.8, 7.4, 17)
LOG_N = np.linspace(8.0, 12.0, 9)


def features(probability: np.ndarray | None = None) -> features_pb2.Features:
    made = features_pb2.Features(observation=observation())
    if probability is not None:
        made.network_version = "weights"
        made.grid.log_temperature.extend(LOG_T)
        made.grid.log_density.extend(LOG_N)
        made.grid.probability.extend(probability.ravel() / probability.sum())
        made.lines.add(label="fe 12 195.12", wavelength=195.12, probability=0.97)
    return made


@pytest.fixture(scope="module")
def worker() -> FittingWorker:
    stage = FittingStage(FittingSettings.load(max_rung="network"))
    worker = FittingWorker(stage.worker_settings)
    worker.warm()
    return worker


def answer(worker: FittingWorker, item: features_pb2.Features) -> tuple[Fitted, posterior_pb2.Posterior]:
    (made,) = worker.work([FitJob(item.SerializeToString())])
    assert isinstance(made, Fitted)
    return made, posterior_pb2.Posterior.FromString(made.posterior)


def test_the_summaries_are_those_of_the_grid(worker: FittingWorker) -> None:
    # A Gaussian in log T that the grid resolves, beside an even density.
    weight = np.exp(-0.5 * ((LOG_T[:, None] - 6.4) / 0.15) ** 2) * np.ones_like(LOG_N)
    made, posterior = answer(worker, features(weight))
    log_t, log_n = posterior.parameters
    assert (log_t.name, log_n.name) == ("log_temperature", "log_density")
    # 256 draws: the median of a Gaussian is known to 1.25 sd / 16.
    assert log_t.median == pytest.approx(6.4, abs=4 * 1.25 * 0.15 / 16)
    assert log_t.standard_deviation == pytest.approx(0.15, rel=0.25)
    assert log_n.constraint == posterior_pb2.CONSTRAINT_UNCONSTRAINED
    assert len(posterior.draws.values) == 2 * 256
    assert made.constraints == {"log_temperature": "measured", "log_density": "unconstrained"}


def test_it_is_triage_identifies_nothing_and_has_the_id_of_the_fit_that_replaces_it(worker: FittingWorker) -> None:
    made, posterior = answer(worker, features(np.ones((17, 9))))
    assert posterior.rung == posterior_pb2.RUNG_NETWORK
    assert posterior_pb2.FLAG_TRIAGE in posterior.flags
    assert not is_complete(posterior)
    assert posterior.result_id == single_result_id(posterior.fingerprints[0], posterior.versions) == made.result_id
    assert [(line.probability, line.identified) for line in posterior.lines] == [(pytest.approx(0.97), False)]


def test_a_spectrum_of_some_channels_gets_the_id_of_its_fit_too(worker: FittingWorker) -> None:
    some = features(np.ones((17, 9)))
    spectrum = spectrum_from_message(some.observation.spectrum)
    assert len(spectrum.channels) < len(get_instrument(spectrum.instrument).channels)
    fitter = Fitter()
    fitted = fitter.versions(fitter.model(spectrum, Plasma.ISOTHERMAL).instrument)
    _, posterior = answer(worker, some)
    assert posterior.versions == model_versions(fitted, "weights")


def test_the_same_spectrum_again_gives_the_same_draws(worker: FittingWorker) -> None:
    weight = np.random.default_rng(1).random((17, 9))
    first, second = (answer(worker, features(weight))[1] for _ in range(2))
    assert first.draws == second.draws


def test_without_a_grid_the_prior_is_what_is_known(worker: FittingWorker) -> None:
    _, posterior = answer(worker, features())
    log_t, log_n = posterior.parameters
    assert {log_t.constraint, log_n.constraint} == {posterior_pb2.CONSTRAINT_UNCONSTRAINED}
    assert posterior_pb2.FLAG_NO_NETWORK in posterior.flags
    assert log_n.lower95 < 8.5
    assert log_n.upper95 > 11.5


def test_an_unknown_instrument_is_rejected_alone(worker: FittingWorker) -> None:
    stranger = features()
    stranger.observation.spectrum.instrument = "hubble"
    good, bad = worker.work([FitJob(item.SerializeToString()) for item in (features(), stranger)])
    assert isinstance(good, Fitted)
    assert isinstance(bad, Rejected)
