"""What ingestion and results pass per second, beside Kafka's own producer test on the same broker and message size.

    KAFKA_HOME=... python -m benchmarks.throughput [--spectra N] [--table FILE]

Neither stage infers anything: what limits them is ours. The last table says where their time goes, measured on the same
records in one process without a broker.
"""

from __future__ import annotations

import argparse
import platform
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from google.protobuf.timestamp_pb2 import Timestamp
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from rich.console import Console
from rich.markdown import Markdown

from coronium.contract.headers import Headers
from coronium.contract.limits import MAX_PRODUCE_BYTES
from coronium.contract.topics import POSTERIORS, SPECTRA, StageName, Topic
from coronium.evaluation.provenance import commit
from coronium.ingestion.canonicalise import observation
from coronium.ingestion.checks import check, parse
from coronium.results.database import open_engine
from coronium.results.records import entry
from coronium.results.store import Store
from coronium.runtime.admin import create_topics
from coronium.v1 import posterior_pb2
from tests.drills.postgresql import Database
from tests.drills.world import simulated
from tests.kafka.cluster import Cluster
from tests.stream.broker import Stream
from tests.stream.service import Service
from tests.unit.posterior_factory import posterior

PARTITIONS = 6
BATCH = 32
SKIPPED = 0.1
"""Share of the records before the clock starts: a service that starts is no throughput."""

Record = tuple[bytes, bytes]


def spectra(count: int) -> list[Record]:
    """Return simulated Hinode/EIS spectra, each of a target of its own."""
    kinds = simulated()
    records = []
    for number in range(count):
        message = kinds[number % len(kinds)]
        message.target = f"bench/{number:06d}"
        records.append((message.target.encode(), message.SerializeToString()))
    return records


def posteriors(count: int) -> list[Record]:
    """Return posteriors of one size, each of a spectrum of its own."""
    made = posterior("bench")
    records = []
    for number in range(count):
        made.result_id = f"{number:032x}"
        made.fingerprints[:] = [f"{number:064x}"]
        made.target = f"bench/{number:06d}"
        records.append((made.target.encode(), made.SerializeToString()))
    return records


def producer_test(cluster: Cluster, records: list[Record]) -> float:
    """Return the records per second of Kafka's own producer test with records of the same size."""
    size = round(sum(len(value) for _, value in records) / len(records))
    admin = KafkaAdminClient(bootstrap_servers=cluster.addresses)
    name = f"bench.{size}"
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    admin.close()
    words = ["--topic", name, "--num-records", str(len(records)), "--record-size", str(size), "--throughput", "-1"]
    printed = cluster.tool(
        "kafka-producer-perf-test.sh", *words, "--bootstrap-server", cluster.addresses, "--command-property", "acks=all"
    )
    return float(re.findall(r"([\d.]+) records/sec", printed)[-1])


def publish(stream: Stream, topic: Topic, records: list[Record]) -> float:
    """Publish records as the client library does; return how many a second."""
    producer = KafkaProducer(bootstrap_servers=stream.address, acks="all", max_request_size=MAX_PRODUCE_BYTES)
    headers = list(Headers.new().encode().items())
    began = time.monotonic()
    pending = [producer.send(stream.name(topic), value, key=key, headers=headers) for key, value in records]
    for future in pending:
        future.get(60)
    seconds = time.monotonic() - began
    producer.close()
    return len(records) / seconds


def drained(stream: Stream, stage: StageName, topic: Topic, count: int, start: Callable[[], Service]) -> float:
    """Start a service before a full topic; return the records per second that it commits."""
    admin = KafkaAdminClient(bootstrap_servers=stream.address)
    group = stream.kafka.topics.group(stage)
    partitions = [TopicPartition(stream.name(topic), p) for p in range(PARTITIONS)]

    def committed() -> int:
        try:
            found = admin.list_group_offsets({group: partitions})[group]
        except Exception:
            return 0
        return sum(max(one.offset, 0) for one in found.values())

    service = start()
    try:
        while (first := committed()) < SKIPPED * count:
            time.sleep(0.05)
        began = time.monotonic()
        while (last := committed()) < count:
            time.sleep(0.05)
        return (last - first) / (time.monotonic() - began)
    finally:
        service.kill()
        admin.close()


def steps(records: list[Record], stored: list[Record], url: str) -> list[tuple[str, str, float]]:
    """Return (stage, step, microseconds a record) of the work itself, without broker and loop."""

    def timed(action: Callable[[], object], count: int) -> float:
        began = time.perf_counter()
        action()
        return 1e6 * (time.perf_counter() - began) / count

    messages = [parse(value) for _, value in records]
    made = [observation(message, Timestamp()) for message in messages]
    results = [posterior_pb2.Posterior.FromString(value) for _, value in stored]
    entries = [entry(result) for result in results]
    engine = open_engine(url)
    store = Store(engine)

    def write() -> None:
        for start in range(0, len(entries), BATCH):
            store.write(entries[start : start + BATCH])

    found = [
        ("ingestion", "parse", timed(lambda: [parse(value) for _, value in records], len(records))),
        ("ingestion", "check", timed(lambda: [check(message) for message in messages], len(records))),
        (
            "ingestion",
            "canonicalise and fingerprint",
            timed(lambda: [observation(message, Timestamp()) for message in messages], len(records)),
        ),
        (
            "ingestion",
            "serialise",
            timed(lambda: [one.SerializeToString(deterministic=True) for one in made], len(records)),
        ),
        ("results", "parse and make rows", timed(lambda: [entry(result) for result in results], len(results))),
        ("results", "write to PostgreSQL", timed(write, len(entries))),
    ]
    engine.dispose()
    return found


Rate = tuple[str, str, float, float]
"""What passes, KiB a record, records a second, and of them a record of Kafka's producer test."""


def page(count: int, rates: list[Rate], where: list[tuple[str, str, float]]) -> str:
    """Return the page of the benchmark, in Markdown."""
    lines = [
        "# What the stages pass that infer nothing",
        "",
        f"Written by `python -m benchmarks.throughput` at commit {commit()}, on {psutil.cpu_count()} cores of "
        f"{platform.machine()} that the broker, PostgreSQL and the stage share: {count} records over {PARTITIONS} "
        "partitions of one broker (acks=all), one replica with the default settings, one run. The last column is the "
        "rate over that of `kafka-producer-perf-test` with records of the same size on the same broker.",
        "",
        "| what | KiB a record | records/s | of Kafka's producer test |",
        "|---|--:|--:|--:|",
        *(f"| {name} | {size} | {rate:.0f} | {share:.3f} |" for name, size, rate, share in rates),
        "",
        "Where the time goes: the work itself on the same records, one process, without broker and loop.",
        "",
        "| stage | step | microseconds a record |",
        "|---|---|--:|",
        *(f"| {stage} | {step} | {microseconds:.0f} |" for stage, step, microseconds in where),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--spectra", type=int, default=10_000)
    parser.add_argument("--table", type=Path, help="where the table goes, besides the terminal")
    arguments = parser.parse_args()
    count = arguments.spectra
    folder = Path(tempfile.mkdtemp(prefix="coronium-throughput-"))
    cluster = Cluster(folder / "kafka")
    database = Database(folder / "postgresql", small=False)
    try:
        cluster.start()
        database.start()
        stream = Stream(cluster.addresses, "bench")
        create_topics(stream.kafka, partitions=PARTITIONS)
        records, stored = spectra(count), posteriors(count)
        rates: list[Rate] = []
        for topic, own, stage, module in (
            (SPECTRA, records, StageName.INGESTION, "coronium.ingestion"),
            (POSTERIORS, stored, StageName.RESULTS, "coronium.results"),
        ):
            size = f"{sum(len(value) for _, value in own) / count / 1024:.1f}"
            reference = producer_test(cluster, own)
            client = publish(stream, topic, own)

            def start(stage: StageName = stage, module: str = module) -> Service:
                return Service(stream, folder / f"{stage}.log", module, RESULTS__DATABASE_URL=database.url)

            rate = drained(stream, stage, topic, count, start)
            rates += [
                (f"`kafka-producer-perf-test`, {topic.suffix}", size, reference, 1.0),
                ("kafka-python's producer", size, client, client / reference),
                (f"{stage.value}, one replica", size, rate, rate / reference),
            ]
        engine = open_engine(database.url)
        with engine.begin() as connection:
            connection.exec_driver_sql("TRUNCATE results, result_epochs, observations, dead_letters CASCADE")
        engine.dispose()
        text = page(count, rates, steps(records[:2000], stored[:2000], database.url))
        Console().print(Markdown(text))
        if arguments.table:
            arguments.table.write_text(text)
    finally:
        database.stop()
        cluster.stop()


if __name__ == "__main__":
    main()
