"""Ingestion on a broker: good spectra become observations, bad ones dead letters that say why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer

from coronium import Client, SpectrumRejected
from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_SPECTRUM_BYTES
from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.admin import create_topics
from coronium.v1 import dead_letter_pb2, spectrum_pb2
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually
from tests.unit.spectra import good_spectrum, spectrum_of_size


@pytest.fixture(scope="module")
def stream(broker: str) -> Stream:
    """The topics of all tests of this file; each test has targets of its own."""
    stream = Stream(broker, "ingestion-tests")
    create_topics(stream.kafka, partitions=PARTITIONS)
    return stream


@pytest.fixture(scope="module")
def ingestion(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as `python -m coronium.ingestion` runs it."""
    log: Path = tmp_path_factory.mktemp("ingestion") / "ingestion.log"
    service = Service(stream, log, "coronium.ingestion").wait_until_ready()
    yield service
    assert service.terminate() == 0, log.read_text()


@pytest.fixture
def client(stream: Stream) -> Iterator[Client]:
    with Client(kafka=stream.address, prefix=stream.prefix, timeout=10.0) as client:
        yield client


@pytest.fixture
def submitter(ingestion: Service) -> Iterator[Client]:
    with Client(ingestion_address=f"127.0.0.1:{ingestion.grpc_port}", timeout=20.0) as client:
        yield client


def observations(stream: Stream, prefix: str) -> list[spectrum_pb2.Observation]:
    """Those of targets that begin with the prefix."""
    records = stream.read(OBSERVATIONS)
    return [spectrum_pb2.Observation.FromString(value) for key, value in records if key.startswith(prefix.encode())]


def dead_letters(stream: Stream) -> dict[bytes, dead_letter_pb2.DeadLetter]:
    """All of ingestion, by key."""
    records = stream.read(DEAD_LETTERS[StageName.INGESTION])
    return {key: dead_letter_pb2.DeadLetter.FromString(value) for key, value in records}


def publish(stream: Stream, *spectra: spectrum_pb2.Spectrum) -> None:
    stream.publish(SPECTRA, [(spectrum.target.encode(), spectrum.SerializeToString()) for spectrum in spectra])


@contextmanager
def settled(stream: Stream, spectra: int) -> Iterator[None]:
    """Wait, at the end, until ingestion has committed as many spectra as the block published."""

    def committed() -> int:
        return sum(stream.committed(StageName.INGESTION, SPECTRA).values())

    before = committed()
    yield
    eventually(lambda: committed() == before + spectra, 30, f"the commit of {spectra} spectra")


def test_good_spectra_come_out_as_observations_and_bad_ones_as_dead_letters_with_reasons(stream, ingestion):
    good = [good_spectrum(f"raster/x{x:03d}y007") for x in range(8)]
    inconsistent = good_spectrum("inconsistent")
    inconsistent.channels[0].counts.append(1.0)
    unknown = good_spectrum("unknown-instrument")
    unknown.instrument = "my-rocket"
    nowhere = good_spectrum("nowhere")
    nowhere.channels[0].wavelength_edges[4] = 1869.0
    with settled(stream, 13):
        publish(stream, *good[:4], inconsistent, unknown, nowhere, *good[4:])
        stream.publish(SPECTRA, [(b"noise", b"\xff\xfe no protobuf"), (b"nothing", b"")])
    made = observations(stream, "raster/")
    assert sorted(observation.fingerprint for observation in made) == sorted(map(fingerprint, good))
    letters = dead_letters(stream)
    assert {key: letter.reason for key, letter in letters.items()} == {
        b"inconsistent": dead_letter_pb2.DEAD_LETTER_REASON_INVALID,
        b"unknown-instrument": dead_letter_pb2.DEAD_LETTER_REASON_UNKNOWN_INSTRUMENT,
        b"nowhere": dead_letter_pb2.DEAD_LETTER_REASON_INVALID,
        b"noise": dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED,
        b"nothing": dead_letter_pb2.DEAD_LETTER_REASON_INVALID,
    }
    assert "counts has 5 values, expected 4" in letters[b"inconsistent"].detail
    assert letters[b"inconsistent"].value == inconsistent.SerializeToString()
    assert letters[b"noise"].source_topic == stream.name(SPECTRA)


def test_a_duplicate_is_dropped_but_a_replayed_one_passes(stream, ingestion):
    with settled(stream, 1):
        publish(stream, good_spectrum("twice"))
    with settled(stream, 1):
        publish(stream, good_spectrum("twice", name="the same data under another name"))
    assert len(observations(stream, "twice")) == 1

    producer = KafkaProducer(bootstrap_servers=stream.address, enable_idempotence=False)
    headers = list(Headers.new(replay_id="night-12").encode().items())
    with settled(stream, 1):
        producer.send(stream.name(SPECTRA), good_spectrum("twice").SerializeToString(), key=b"twice", headers=headers)
        producer.close()
    assert len(observations(stream, "twice")) == 2


def test_what_a_client_publishes_over_kafka_arrives_under_the_fingerprints_it_returned(stream, client, ingestion):
    with settled(stream, 6):
        names = client.publish(good_spectrum(f"iterated/{number}") for number in range(5))
        assert isinstance(client.publish(good_spectrum("iterated/alone")), str)
    made = {observation.spectrum.target: observation.fingerprint for observation in observations(stream, "iterated/")}
    assert [made[f"iterated/{number}"] for number in range(5)] == names
    assert len(made) == 6


def test_a_spectrum_submitted_over_grpc_goes_the_same_way_and_a_bad_one_nowhere(stream, submitter):
    with settled(stream, 1):
        name = submitter.publish(good_spectrum("submitted"))
    assert [observation.fingerprint for observation in observations(stream, "submitted")] == [name]
    bad = good_spectrum("submitted-badly")
    bad.exposures[0].seconds = -1.0
    with pytest.raises(SpectrumRejected, match=r"Exposure 0 lasts -1\.0 seconds"):
        submitter.publish(bad)
    assert b"submitted-badly" not in {key for key, _ in stream.read(SPECTRA)}


def test_the_largest_spectrum_passes_over_kafka_and_grpc_and_one_byte_more_is_a_dead_letter(
    stream, ingestion, client, submitter
):
    over_kafka = spectrum_of_size(MAX_SPECTRUM_BYTES, target="largest/kafka")
    over_grpc = spectrum_of_size(MAX_SPECTRUM_BYTES, target="largest/grpc")
    too_large = spectrum_of_size(MAX_SPECTRUM_BYTES + 1, target="too-large")
    with settled(stream, 3):
        names = [client.publish(over_kafka), submitter.publish(over_grpc)]
        publish(stream, too_large)
    made = {observation.spectrum.target: observation for observation in observations(stream, "largest/")}
    assert [made[target].fingerprint for target in ("largest/kafka", "largest/grpc")] == names
    assert made["largest/kafka"].spectrum.channels[0].counts == over_kafka.channels[0].counts
    letter = dead_letters(stream)[b"too-large"]
    assert letter.reason == dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE
    assert letter.value == too_large.SerializeToString()
