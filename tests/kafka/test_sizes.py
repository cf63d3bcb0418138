"""Eight mebibytes minus one, exactly, and plus one byte, good and malformed, through every stage on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coronium import Client
from coronium.client.result import DeadLetter
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_SPECTRUM_BYTES
from coronium.contract.topics import DEAD_LETTERS, FEATURES, OBSERVATIONS, SPECTRA, StageName
from coronium.results.database import open_engine
from coronium.results.queries import Queries
from coronium.v1 import features_pb2, spectrum_pb2
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.network_folder import untrained_network
from tests.unit.spectra import good_spectrum, spectrum_of_size

pytestmark = pytest.mark.timeout(900)

SIZES = {"minus-one": MAX_SPECTRUM_BYTES - 1, "exactly": MAX_SPECTRUM_BYTES, "plus-one": MAX_SPECTRUM_BYTES + 1}
GOOD = {f"sun/good-{name}": spectrum_of_size(size, f"sun/good-{name}") for name, size in SIZES.items()}
MALFORMED = {f"sun/malformed-{name}": b"\xff" * size for name, size in SIZES.items()}
TOO_LARGE = "sun/good-plus-one"


@pytest.fixture
def services(stream: Stream, tmp_path: Path) -> Iterator[dict[str, Service]]:
    """All four stages, the fit at its cheapest rung."""
    untrained_network(tmp_path / "weights", "hinode-eis")
    own = {
        "ingestion": {},
        "extraction": {"EXTRACTION__WEIGHTS": str(tmp_path / "weights")},
        "fitting": {"FITTING__MAX_RUNG": "mode", "FITTING__DEVICES": "1", "FITTING__WIDTH": "1"},
        "results": {"RESULTS__DATABASE_URL": f"sqlite:///{tmp_path / 'results.db'}"},
    }
    # A batch must not be given up because the machine is busy; what takes long here is eight mebibytes of JAX.
    patience = {
        "LOOP__DEADLINE_SECONDS": "300",
        "LOOP__REBALANCE_SECONDS": "330",
        "LOOP__GRACE_SECONDS": "360",
        "KAFKA__SESSION_SECONDS": "20",
    }
    running = {
        name: Service(stream, tmp_path / f"{name}.log", f"coronium.{name}", **patience, **settings)
        for name, settings in own.items()
    }
    yield running
    for service in running.values():
        if service.process.poll() is None:
            service.kill()


def committed(stream: Stream, stage: StageName, topic: object) -> int:
    return sum(stream.committed(stage, topic).values())  # type: ignore[arg-type]


def test_every_size_goes_all_the_way_or_is_a_dead_letter_with_all_its_bytes(
    stream: Stream, services: dict[str, Service], tmp_path: Path
) -> None:
    published = {**{target: message.SerializeToString() for target, message in GOOD.items()}, **MALFORMED}
    for target, value in published.items():
        stream.publish(SPECTRA, [(target.encode(), value)])
    small = good_spectrum("sun/behind-them")
    stream.publish(SPECTRA, [(b"sun/behind-them", small.SerializeToString())])

    eventually(lambda: committed(stream, StageName.INGESTION, SPECTRA) == len(published) + 1, 120, "ingestion")
    observed = {
        message.spectrum.target: message
        for message in (spectrum_pb2.Observation.FromString(value or b"") for _, value in stream.read(OBSERVATIONS))
    }
    passed = {"sun/good-minus-one", "sun/good-exactly", "sun/behind-them"}
    assert observed.keys() == passed
    for target in passed - {"sun/behind-them"}:
        assert observed[target].fingerprint == fingerprint(GOOD[target])
        assert observed[target].spectrum.channels[0].counts == GOOD[target].channels[0].counts

    eventually(lambda: committed(stream, StageName.EXTRACTION, OBSERVATIONS) == 3, 120, "extraction")
    features = {
        message.observation.spectrum.target: message
        for message in (features_pb2.Features.FromString(value or b"") for _, value in stream.read(FEATURES))
    }
    assert features.keys() == passed
    for target in passed:
        # The observation travels unchanged beside what the network made of it.
        assert features[target].observation == observed[target]
        assert features[target].network_version

    eventually(lambda: committed(stream, StageName.FITTING, FEATURES) == 3, 400, "fitting")
    set_aside = stream.dead_letters(StageName.INGESTION)
    assert {letter.key.decode(): letter.value for letter in set_aside} == {
        **MALFORMED,
        TOO_LARGE: published[TOO_LARGE],
    }

    fitted = stream.dead_letters(StageName.FITTING)
    for topic, count in ((OBSERVATIONS, 3), (DEAD_LETTERS[StageName.INGESTION], 4)):
        eventually(
            lambda topic=topic, count=count: committed(stream, StageName.RESULTS, topic) == count, 120, "results"
        )
    eventually(
        lambda: committed(stream, StageName.RESULTS, DEAD_LETTERS[StageName.FITTING]) == len(fitted), 120, "the rest"
    )
    engine = open_engine(f"sqlite:///{tmp_path / 'results.db'}")
    stored = Queries(engine)
    for target in passed:
        kept = stored.observation(observed[target].fingerprint)
        assert spectrum_pb2.Observation.FromString(kept or b"") == observed[target]
    engine.dispose()

    with Client(f"127.0.0.1:{services['results'].grpc_port}", timeout=60.0) as client:
        letters: dict[str, DeadLetter] = {letter.key.decode(): letter for letter in client.dead_letters("ingestion")}
        for target, value in MALFORMED.items():
            too_large = len(value) > MAX_SPECTRUM_BYTES
            assert letters[target].reason == ("too_large" if too_large else "malformed")
            assert letters[target].value == value
        assert letters[TOO_LARGE].reason == "too_large"
        assert letters[TOO_LARGE].value == published[TOO_LARGE]
        answered = {result.target for result in client.list()}
        refused = {letter.key.decode(): letter for letter in client.dead_letters("fitting")}
        assert answered | refused.keys() == passed
        assert "sun/behind-them" in answered
        for target, letter in refused.items():
            # More values than a fit takes: said so, and kept whole.
            assert letter.reason == "invalid"
            assert "a fit takes" in letter.detail
            assert features_pb2.Features.FromString(letter.value) == features[target]
    for name, service in services.items():
        assert service.terminate(60) == 0, f"{name}: {service.log.read_text()[-2000:]}"
