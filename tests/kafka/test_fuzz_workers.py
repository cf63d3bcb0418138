"""Mutants that pass the decoders, through extraction and fitting on a real broker: each is features, a result or a dead
letter that says why, and no worker dies of one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message

from coronium.contract.topics import FEATURES, OBSERVATIONS, POSTERIORS, StageName, Topic
from coronium.v1 import dead_letter_pb2, features_pb2, posterior_pb2, spectrum_pb2
from tests.fuzz import seeds, spectra_values
from tests.fuzz.mutators import mutated_bytes
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.network_folder import untrained_network
from tests.unit.spectra import good_spectrum

pytestmark = pytest.mark.timeout(900)

COUNT = 150
INVALID, MALFORMED = dead_letter_pb2.DEAD_LETTER_REASON_INVALID, dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED
LOOP = {
    "LOOP__DEADLINE_SECONDS": "300",
    "LOOP__REBALANCE_SECONDS": "330",
    "LOOP__GRACE_SECONDS": "360",
    "KAFKA__SESSION_SECONDS": "20",
}


def mutants(make: object, count: int) -> list[bytes]:
    """Return serialised mutants, a tenth of them with broken bytes."""
    found = []
    for index in range(count):
        draw = random.Random(f"stream/{index}")
        message: Message = make(draw)  # type: ignore[operator]
        data = message.SerializeToString()
        found.append(mutated_bytes(draw, data, []) if index % 10 == 0 else data)
    return found


def settle(
    stream: Stream, service: Service, stage: StageName, topics: tuple[Topic, Topic], values: list[bytes]
) -> list[bytes]:
    """Publish to the first topic, wait for the commit, check the dead letters, and return what is in the second."""
    stream.publish(topics[0], [(b"sun", value) for value in values], partition=0)
    eventually(lambda: stream.committed(stage, topics[0]).get(0, 0) == len(values), 500, "the last commit")
    made = [value or b"" for _, value in stream.read(topics[1])]
    letters = stream.dead_letters(stage)
    assert len(made) + len(letters) == len(values)
    assert sorted(letter.source_offset for letter in letters) == sorted({letter.source_offset for letter in letters})
    for letter in letters:
        assert letter.value == values[letter.source_offset]
        assert letter.reason in (INVALID, MALFORMED), letter.detail
        assert letter.detail.endswith(".")
    assert len(letters) > len(values) // 10
    assert len(made) > len(values) // 5
    assert not service.said("the worker ended")
    assert not service.said("a batch failed, its records go one at a time")
    return made


def test_extraction_rejects_each_alone(stream: Stream, tmp_path: Path) -> None:
    untrained_network(tmp_path / "weights", "hinode-eis")
    service = Service(
        *(stream, tmp_path / "extraction.log", "coronium.extraction"), EXTRACTION__WEIGHTS=str(tmp_path / "weights")
    )
    good = seeds.observation(good_spectrum("sun/good")).SerializeToString()
    values = [*mutants(spectra_values.observation, COUNT), good]
    made = settle(stream, service, StageName.EXTRACTION, (OBSERVATIONS, FEATURES), values)
    read = [features_pb2.Features.FromString(value) for value in made]
    assert all(np.isfinite(one.grid.probability).all() for one in read)
    assert read[-1].observation == spectrum_pb2.Observation.FromString(good)
    assert service.terminate(60) == 0


def test_fitting_rejects_each_alone(stream: Stream, tmp_path: Path) -> None:
    service = Service(
        *(stream, tmp_path / "fitting.log", "coronium.fitting"),
        **LOOP,
        FITTING__MAX_RUNG="mode",
        FITTING__CHAINS="2",
        FITTING__DEVICES="1",
    )
    values = [*mutants(spectra_values.features, COUNT), seeds.features(good_spectrum("sun/good")).SerializeToString()]
    made = settle(stream, service, StageName.FITTING, (FEATURES, POSTERIORS), values)
    for value in made:
        for parameter in posterior_pb2.Posterior.FromString(value).parameters:
            assert np.isfinite([parameter.median, parameter.lower95, parameter.upper95]).all()
    assert posterior_pb2.Posterior.FromString(made[-1]).target == "sun/good"
    assert service.terminate(60) == 0
