"""Extraction on a broker: observations become features, and the network can be replaced while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from coronium.contract.conversion import spectrum_to_message
from coronium.contract.identity import fingerprint
from coronium.contract.topics import FEATURES, OBSERVATIONS, StageName
from coronium.network.files import combined_version
from coronium.physics.readers.capella import read_capella
from coronium.v1 import control_pb2, control_pb2_grpc, dead_letter_pb2, features_pb2, spectrum_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.network_folder import untrained_network
from tests.unit.spectra import good_spectrum


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with small networks of two instruments."""
    folder = tmp_path / "weights"
    untrained_network(folder, "chandra-letg")
    untrained_network(folder, "hinode-eis")
    return folder


def observation(message: spectrum_pb2.Spectrum) -> tuple[bytes, bytes]:
    made = spectrum_pb2.Observation(spectrum=message, fingerprint=fingerprint(message))
    return message.target.encode(), made.SerializeToString()


def features(stream: Stream) -> dict[bytes, features_pb2.Features]:
    return {key: features_pb2.Features.FromString(value) for key, value in stream.read(FEATURES)}


def test_observations_become_features_and_bad_ones_dead_letters(stream: Stream, tmp_path: Path, weights: Path):
    capella = spectrum_to_message(read_capella()[0])
    unknown = good_spectrum("star/of-another-spectrograph")
    unknown.instrument = "my-spectrograph"
    pixels = [good_spectrum(f"sun/pixel{number}") for number in range(10)]
    stream.publish(OBSERVATIONS, [observation(message) for message in (capella, unknown, *pixels[:5])])
    stream.publish(OBSERVATIONS, [(b"sun/broken", b"\xff not an observation")])
    stream.publish(OBSERVATIONS, [observation(message) for message in pixels[5:]])

    service = Service(
        stream, tmp_path / "extraction.log", "coronium.extraction", EXTRACTION__WEIGHTS=str(weights)
    ).wait_until_ready()
    try:
        eventually(lambda: len(features(stream)) == 12, 30, "twelve features")
        made = features(stream)
        assert made[b"capella"].observation.spectrum == capella
        assert made[b"capella"].network_version
        assert sum(made[b"capella"].grid.probability) == pytest.approx(1.0, abs=1e-5)
        assert made[b"star/of-another-spectrograph"].network_version == ""
        (letter,) = eventually(lambda: stream.dead_letters(StageName.EXTRACTION), 10, "the dead letter")
        assert letter.reason == dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED
        assert letter.value == b"\xff not an observation"
        eventually(lambda: sum(stream.committed(StageName.EXTRACTION, OBSERVATIONS).values()) == 13, 10, "all commits")
        measured = service.metrics()
        assert "coronium_network_seconds_count 11.0" in measured
        assert "coronium_network_skipped_total 1.0" in measured
        assert service.terminate() == 0, service.log.read_text()
    finally:
        service.kill()


def test_a_reload_takes_the_new_network_and_a_corrupt_one_keeps_the_old(stream: Stream, tmp_path: Path, weights: Path):
    service = Service(
        stream, tmp_path / "extraction.log", "coronium.extraction", EXTRACTION__WEIGHTS=str(weights)
    ).wait_until_ready()
    try:
        with service.channel() as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)

            def replica() -> control_pb2.ReplicaState:
                return control.Status(control_pb2.StatusRequest(), timeout=10).replicas[0]

            first = combined_version(weights)
            eventually(lambda: replica().model_hash == first, 10, "the first network")
            path = untrained_network(weights, "hinode-eis", seed=1)
            second = combined_version(weights)
            control.Reload(control_pb2.ReloadRequest(model_hash=second), timeout=10)
            eventually(lambda: replica().model_hash == second, 20, "the second network")

            path.write_bytes(b"half a file")
            control.Reload(control_pb2.ReloadRequest(), timeout=10)
            told = eventually(lambda: replica().reload_error, 20, "the refusal")
            assert "corrupt" in told
            assert replica().model_hash == second

        stream.publish(OBSERVATIONS, [observation(good_spectrum("sun/after"))])
        eventually(lambda: b"sun/after" in features(stream), 20, "features of the old network")
        assert features(stream)[b"sun/after"].network_version
    finally:
        service.kill()
