"""The extraction stage and its worker, without a broker."""

import asyncio

import numpy as np
import pytest

from coronium.contract.conversion import spectrum_to_message
from coronium.contract.identity import fingerprint
from coronium.contract.topics import FEATURES
from coronium.extraction.settings import ExtractionSettings
from coronium.extraction.stage import ExtractionStage
from coronium.extraction.worker import create
from coronium.physics.readers.capella import read_capella
from coronium.runtime import metrics
from coronium.runtime.errors import StartError
from coronium.runtime.stage import Incoming, Rejected
from coronium.v1 import dead_letter_pb2, features_pb2, spectrum_pb2
from tests.unit.network_folder import untrained_network
from tests.unit.spectra import good_spectrum


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    untrained_network(folder, "hinode-eis")
    untrained_network(folder, "chandra-letg")
    return folder


@pytest.fixture
def stage(weights):
    return ExtractionStage(ExtractionSettings(weights=str(weights)))


@pytest.fixture(scope="module")
def worker(weights):
    worker = create({"device": "cpu", "weights": str(weights)})
    assert len(worker.warm()) == 16
    return worker


def _observation(message, name=""):
    return spectrum_pb2.Observation(spectrum=message, fingerprint=name or fingerprint(message))


def _incoming(value):
    return Incoming("coronium.observations.v1", 0, 0, b"key", value, {}, 1_700_000_000.0)


def _features(result):
    return features_pb2.Features.FromString(result.features)


def test_features_carry_the_observation_unchanged_beside_what_the_network_says(stage, worker):
    observation = _observation(spectrum_to_message(read_capella()[0]))
    incoming = _incoming(observation.SerializeToString())
    job = stage.decode(incoming)
    (result,) = worker.work([job])
    (outgoing,) = stage.encode(incoming, job, result)
    made = features_pb2.Features.FromString(outgoing.value)
    assert outgoing.topic is FEATURES
    assert outgoing.key == b"capella"
    assert made.observation == observation
    assert len(made.network_version) == 16
    assert sum(made.grid.probability) == pytest.approx(1.0, abs=1e-5)
    assert len(made.grid.probability) == len(made.grid.log_temperature) * len(made.grid.log_density)
    assert [channel.name for channel in made.denoised] == ["letg-negative", "letg-positive"]
    assert len(made.lines) == 3
    assert 0 < made.network_seconds < 5


def test_a_batch_of_several_instruments_keeps_its_order(worker):
    letg, eis = _observation(spectrum_to_message(read_capella()[0])), _observation(good_spectrum("sun/a"))
    other = _observation(good_spectrum("sun/b"))
    other.spectrum.instrument = "my-spectrograph"
    jobs = [message.SerializeToString() for message in (eis, other, letg, eis)]
    made = [_features(result) for result in worker.work(jobs)]
    assert [m.observation for m in made] == [eis, other, letg, eis]
    assert made[0].network_version == made[3].network_version != made[2].network_version
    assert np.allclose(made[0].grid.probability, made[3].grid.probability)


def test_an_instrument_without_a_network_goes_on_without_one(stage, worker):
    message = good_spectrum()
    message.instrument = "my-spectrograph"
    (result,) = worker.work([_observation(message).SerializeToString()])
    made = _features(result)
    assert made.network_version == ""
    assert not made.lines
    assert not made.HasField("grid")
    before = metrics.NETWORK_SKIPPED._value.get()
    stage.observe(result)
    assert metrics.NETWORK_SKIPPED._value.get() == before + 1


def test_channels_that_the_network_does_not_know_go_on_without_it(worker):
    message = good_spectrum()
    message.channels[0].name = "he-2-256"
    (result,) = worker.work([_observation(message).SerializeToString()])
    assert _features(result).network_version == ""


def test_lengths_that_do_not_fit_are_rejected_and_the_neighbours_complete(worker):
    bad = good_spectrum("sun/bad")
    del bad.channels[0].counts[-1]
    neighbours = [_observation(good_spectrum(f"sun/{name}")) for name in "ab"]
    jobs = [m.SerializeToString() for m in (neighbours[0], _observation(bad, "damaged"), neighbours[1])]
    first, rejected, last = worker.work(jobs)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == dead_letter_pb2.DEAD_LETTER_REASON_INVALID
    assert (first.target, last.target) == ("sun/a", "sun/b")
    assert first.known
    assert last.known


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xff\xff", dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED),
        (b"", dead_letter_pb2.DEAD_LETTER_REASON_INVALID),
    ],
)
def test_what_is_no_observation_is_rejected(stage, value, reason):
    with pytest.raises(Rejected) as rejected:
        stage.decode(_incoming(value))
    assert rejected.value.reason == reason


def test_missing_weights_are_one_sentence_at_the_start(tmp_path):
    stage = ExtractionStage(ExtractionSettings(weights=str(tmp_path)))
    with pytest.raises(StartError, match=r"there are no network weights in .*coronium train"):
        asyncio.run(stage.start())
