"""The ingestion stage and the gRPC service, without a broker."""

import pytest

from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.topics import OBSERVATIONS
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.stage import IngestionStage
from coronium.runtime import metrics
from coronium.runtime.stage import Incoming
from coronium.v1 import spectrum_pb2
from tests.unit.spectra import good_spectrum


def _incoming(message, replay_id=""):
    return Incoming(
        topic="coronium.spectra.v1",
        partition=0,
        offset=0,
        key=b"whatever",
        value=message.SerializeToString(),
        headers={},
        timestamp=1_700_000_000.25,
        trace=Headers.new(replay_id),
    )


async def _pass(stage, incoming, acknowledge=True):
    (result,) = await stage.work([stage.decode(incoming)])
    outgoing = stage.encode(incoming, result, result)
    if acknowledge:
        stage.committed(incoming, result, result)
        stage.observe(result)
    return outgoing


async def test_an_observation_leaves_under_its_target_with_everything_filled_in():
    message = good_spectrum()
    (outgoing,) = await _pass(IngestionStage(RecentFingerprints(10)), _incoming(message))
    made = spectrum_pb2.Observation.FromString(outgoing.value)
    assert outgoing.topic is OBSERVATIONS
    assert outgoing.key == b"sun/ar12807/x012y007"
    assert made.fingerprint == fingerprint(message)
    assert made.received_at.seconds == 1_700_000_000
    assert made.signal_to_noise > 1
    assert list(made.spectrum.channels[0].counts) == list(message.channels[0].counts)
    assert made.spectrum.name == "pixel"
    assert dict(made.spectrum.annotations) == {"observer": "nobody"}


async def test_the_same_record_always_gives_the_same_bytes():
    incoming = _incoming(good_spectrum())
    (first,) = await _pass(IngestionStage(RecentFingerprints(10)), incoming)
    (second,) = await _pass(IngestionStage(RecentFingerprints(10)), incoming)
    assert first == second


async def test_a_duplicate_is_dropped_once_the_first_was_acknowledged_and_not_before():
    stage = IngestionStage(RecentFingerprints(10))
    assert await _pass(stage, _incoming(good_spectrum()), acknowledge=False)
    assert await _pass(stage, _incoming(good_spectrum(name="the first was lost")))
    dropped = metrics.DUPLICATES._value.get()
    assert not await _pass(stage, _incoming(good_spectrum(name="again")))
    assert metrics.DUPLICATES._value.get() == dropped + 1
    assert await _pass(stage, _incoming(good_spectrum(target="another")))


async def test_a_replay_goes_past_the_memory_of_duplicates():
    stage = IngestionStage(RecentFingerprints(10))
    await _pass(stage, _incoming(good_spectrum()))
    assert await _pass(stage, _incoming(good_spectrum(), replay_id="night-12"))


@pytest.mark.parametrize("capacity", [0, 3])
def test_the_memory_of_duplicates_is_bounded(capacity):
    recent = RecentFingerprints(capacity)
    for number in range(1000):
        recent.add(str(number))
    assert len(recent) == capacity
    assert "0" not in recent
    assert ("999" in recent) == (capacity > 0)


def test_what_was_met_lately_is_remembered_longest():
    recent = RecentFingerprints(2)
    recent.add("a")
    recent.add("b")
    assert "a" in recent
    recent.add("c")
    assert "a" in recent
    assert "b" not in recent
