"""Twenty thousand mutants through a real broker: each is an observation, a counted duplicate, a stored record or a dead
letter with a reason, and a ledger of all of them proves it. The services neither end nor grow."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_FETCH_BYTES, MEBIBYTE
from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, SPECTRA, StageName, Topic
from coronium.ingestion.checks import check
from coronium.results.database import open_engine
from coronium.results.models import Result, StoredDeadLetter, StoredObservation
from coronium.v1 import control_pb2, control_pb2_grpc, dead_letter_pb2, spectrum_pb2
from tests.fuzz import seeds
from tests.fuzz.mutators import mutant, mutated_headers
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(900)

SEED = 7
SPECTRA_COUNT = 16_000
POSTERIORS_COUNT = 2_000
LETTERS_COUNT = 2_000
MOST_GROWTH = 64 * MEBIBYTE
"""Of a service's resident memory, from the first tenth of the records to the last. Buffers of aiokafka and of the
database fill to some tens; a kilobyte left behind by each record would be fifteen, and one record kept, nothing."""
REASON = dead_letter_pb2.DeadLetterReason


_VARIED: dict[str, tuple[str, Callable[[random.Random], object]]] = {
    "spectrum": ("target", lambda draw: f"sun/x{draw.randrange(3000):04d}"),
    "posterior": ("result_id", lambda draw: f"{draw.randrange(800):032x}"),
    "dead_letter": ("source_offset", lambda draw: draw.randrange(800)),
}


@dataclass
class Sent:
    """What was produced to a topic: where each record stands, and what it holds."""

    topic: Topic
    records: dict[tuple[int, int], bytes] = field(default_factory=dict)


def produce(stream: Stream, topic: Topic, kind: str, count: int, first: int = 0) -> Sent:
    """Produce mutants of valid messages, with mutated keys and headers; a tenth of them valid, some of those twice."""
    producer = KafkaProducer(bootstrap_servers=stream.address, enable_idempotence=False, linger_ms=20)
    others = [
        message.SerializeToString(deterministic=True) for messages in seeds.messages().values() for message in messages
    ]
    sent = Sent(topic)
    pending = []
    for index in range(first, first + count):
        draw = random.Random(f"{kind}/{SEED}/{index}")
        message = draw.choice(seeds.messages()[kind])
        if draw.random() < 0.5:
            # So that not all that is accepted is the same.
            field, other = _VARIED[kind]
            message = type(message).FromString(message.SerializeToString())
            setattr(message, field, other(draw))
        value = message.SerializeToString(deterministic=True) if draw.random() < 0.1 else mutant(draw, message, others)
        headers = Headers(trace_id=f"{index:032x}", produced_at=1.7e9, origin_at=1.7e9).encode()
        if draw.random() < 0.2:
            headers = mutated_headers(draw, headers)
        key = draw.choice((b"sun", None, b"", draw.randbytes(20), b"\xff"))
        pending.append(
            (
                value,
                producer.send(stream.name(topic), value, key=key, headers=list(headers.items()), partition=index % 2),
            )
        )
    producer.flush()
    for value, acknowledgement in pending:
        stands = acknowledgement.get(timeout=30)
        sent.records[stands.partition, stands.offset] = value
    producer.close()
    return sent


def committed(stream: Stream, stage: StageName, topic: Topic) -> int:
    return sum(stream.committed(stage, topic).values())


def read_all(stream: Stream, topic: Topic) -> Iterator[bytes]:
    """Read a topic to its end."""
    consumer = KafkaConsumer(
        bootstrap_servers=stream.address, group_id=None, max_partition_fetch_bytes=MAX_FETCH_BYTES, check_crcs=False
    )
    partitions = [TopicPartition(stream.name(topic), number) for number in range(PARTITIONS)]
    left = sum(consumer.end_offsets(partitions).values())
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    while left:
        for batch in consumer.poll(timeout_ms=500).values():
            left -= len(batch)
            yield from (record.value or b"" for record in batch)
    consumer.close()


def counter(service: Service, name: str) -> int:
    """Return the sum of a service's counter over its labels."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", service.metrics(), re.MULTILINE)
    return int(sum(map(float, found)))


def resident(service: Service) -> int:
    return psutil.Process(service.process.pid).memory_info().rss


def named(value: bytes) -> str:
    """Return the fingerprint under which a published spectrum goes on."""
    message = spectrum_pb2.Spectrum.FromString(value)
    # Which sets the source where the spectrum leaves it to the instrument.
    check(message)
    return fingerprint(message)


def letters_of(stream: Stream, stage: StageName) -> list[dead_letter_pb2.DeadLetter]:
    return [dead_letter_pb2.DeadLetter.FromString(value) for value in read_all(stream, DEAD_LETTERS[stage])]


def assert_told(letters: list[dead_letter_pb2.DeadLetter], sent: dict[str, Sent]) -> dict[str, set[tuple[int, int]]]:
    """Check that each dead letter holds its record's bytes and a reason, once; return which records they are."""
    told: dict[str, set[tuple[int, int]]] = {name: set() for name in sent}
    for letter in letters:
        place = letter.source_partition, letter.source_offset
        assert place not in told[letter.source_topic], "a record with two dead letters"
        told[letter.source_topic].add(place)
        assert letter.value == sent[letter.source_topic].records[place]
        assert letter.reason in REASON.values()
        # Nothing of this is our own fault.
        assert REASON.Name(letter.reason).split("_")[-1] not in ("UNSPECIFIED", "CRASH", "DEADLINE", "INTERNAL")
        assert letter.detail.strip()
    return told


def test_every_mutant_is_accounted_for_and_the_services_live(stream: Stream, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'results.db'}"
    ingestion = Service(stream, tmp_path / "ingestion.log", "coronium.ingestion", LOG_LEVEL="error")
    results = Service(
        stream, tmp_path / "results.log", "coronium.results", RESULTS__DATABASE_URL=url, LOG_LEVEL="error"
    )
    services = [ingestion, results]
    try:
        # A tenth first: what the services hold then is what they need.
        early = produce(stream, SPECTRA, "spectrum", SPECTRA_COUNT // 10)
        tenth = len(early.records)
        eventually(lambda: committed(stream, StageName.INGESTION, SPECTRA) == tenth, 180, "the first tenth")
        before = {service: resident(service) for service in services}
        spectra = produce(stream, SPECTRA, "spectrum", SPECTRA_COUNT - tenth, tenth)
        spectra.records |= early.records
        posteriors = produce(stream, POSTERIORS, "posterior", POSTERIORS_COUNT)
        fitting = DEAD_LETTERS[StageName.FITTING]
        strangers = produce(stream, fitting, "dead_letter", LETTERS_COUNT)

        eventually(lambda: committed(stream, StageName.INGESTION, SPECTRA) == SPECTRA_COUNT, 300, "all spectra")
        made = list(read_all(stream, OBSERVATIONS))
        set_aside = letters_of(stream, StageName.INGESTION)
        for topic, count in (
            (POSTERIORS, POSTERIORS_COUNT),
            (fitting, LETTERS_COUNT),
            (OBSERVATIONS, len(made)),
            (DEAD_LETTERS[StageName.INGESTION], len(set_aside)),
        ):
            eventually(
                lambda topic=topic, count=count: committed(stream, StageName.RESULTS, topic) == count, 300, topic.suffix
            )

        # Ingestion's ledger: a record is an observation, a duplicate, or a dead letter.
        told = assert_told(set_aside, {stream.name(SPECTRA): spectra})[stream.name(SPECTRA)]
        duplicates = counter(ingestion, "coronium_duplicates_total")
        assert len(made) + duplicates + len(set_aside) == SPECTRA_COUNT
        passed = Counter(named(value) for place, value in spectra.records.items() if place not in told)
        observed = Counter(spectrum_pb2.Observation.FromString(value).fingerprint for value in made)
        assert observed.keys() == passed.keys()
        assert sum(passed.values()) - sum(observed.values()) == duplicates
        assert len(observed) > 200
        reasons = Counter(REASON.Name(letter.reason).removeprefix("DEAD_LETTER_REASON_") for letter in set_aside)
        assert reasons.keys() >= {"MALFORMED", "INVALID", "UNKNOWN_INSTRUMENT", "UNKNOWN_SCHEMA"}

        # The ledger of results: a record is a row, one that was there already, or a dead letter.
        own = letters_of(stream, StageName.RESULTS)
        sent = {stream.name(POSTERIORS): posteriors, stream.name(fitting): strangers}
        refused = assert_told(own, sent)
        stored = counter(results, "coronium_stored_total") + counter(results, "coronium_stored_again_total")
        everything = POSTERIORS_COUNT + LETTERS_COUNT + len(made) + len(set_aside) + len(own)
        eventually(
            lambda: (
                counter(results, "coronium_stored_total") + counter(results, "coronium_stored_again_total")
                == everything - len(own)
            ),
            120,
            f"{everything - len(own)} stored records, not {stored}",
        )
        assert all(refused.values())
        engine = open_engine(url)
        with Session(engine) as session:
            rows = {
                table: session.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (Result, StoredObservation, StoredDeadLetter)
            }
        engine.dispose()
        assert rows[StoredObservation] == len(observed)
        assert rows[StoredDeadLetter] >= len(set_aside) + len(own)
        assert rows[Result] > 100

        growth = {service.log.stem: resident(service) - before[service] for service in services}
        print(f"reasons {dict(reasons)}, {len(made)} observations, {duplicates} duplicates, growth {growth}")
        assert all(grown < MOST_GROWTH for grown in growth.values()), growth
        for service in services:
            assert service.process.poll() is None, service.log.read_text()[-3000:]
            with service.channel() as channel:
                status = control_pb2_grpc.ControlServiceStub(channel).Status(control_pb2.StatusRequest(), timeout=20)
            assert status.messages_in >= status.messages_rejected > 0
        for service in services:
            assert service.terminate(60) == 0, service.log.read_text()[-3000:]
    finally:
        for service in services:
            if service.process.poll() is None:
                service.kill()
