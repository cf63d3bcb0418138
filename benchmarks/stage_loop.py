"""What the promises of the stage loop cost: ingestion as a service against plain consumers doing the same work.

All three read the same spectra from the embedded broker, check and canonicalise each with ingestion's own code, and
produce the observation. The plain consumers keep fewer promises: no dead letters, no retries, no crash records, no
look at the partitions before the commit, no metrics.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.timestamp_pb2 import Timestamp
from kafka import KafkaConsumer, KafkaProducer
from rich.table import Table

from coronium.contract.conversion import spectrum_to_message
from coronium.contract.limits import MAX_FETCH_BYTES, MAX_PRODUCE_BYTES
from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName, TopicNames
from coronium.ingestion.canonicalise import observation
from coronium.ingestion.checks import check, parse
from coronium.operations.addresses import HOST, Addresses
from coronium.operations.lag import group_lags
from coronium.operations.profile import kafka_settings
from coronium.operations.stack import Stack
from coronium.physics.readers.capella import read_capella

COUNT = 1000
BATCH = 32
NAMES = TopicNames()
SOURCE, SINK = NAMES.name(SPECTRA), NAMES.name(OBSERVATIONS)


def spectra() -> list[bytes]:
    """Return serialised spectra: Capella's exposures over and over, each of a target of its own."""
    exposures = read_capella()
    return [
        spectrum_to_message(replace(exposures[i % len(exposures)], target=f"bench/{i}")).SerializeToString()
        for i in range(COUNT)
    ]


def work(value: bytes) -> tuple[bytes, bytes]:
    """Do what ingestion does to one record; return key and value of the observation."""
    message = parse(value)
    check(message)
    made = observation(message, Timestamp())
    return made.spectrum.target.encode(), made.SerializeToString(deterministic=True)


def publish(address: str, values: list[bytes]) -> None:
    """Put the spectra into their topic."""
    producer = KafkaProducer(
        bootstrap_servers=address, enable_idempotence=False, max_request_size=MAX_PRODUCE_BYTES, acks="all"
    )
    for number, value in enumerate(values):
        producer.send(SOURCE, value, key=f"bench/{number}".encode())
    producer.flush()
    producer.close()


def plain_kafka_python(address: str) -> float:
    """Consume with kafka-python and return the seconds from the first batch to the last commit."""
    consumer = KafkaConsumer(
        SOURCE,
        bootstrap_servers=address,
        group_id="bench.kafka-python",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=BATCH,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        max_partition_fetch_bytes=MAX_FETCH_BYTES,
    )
    producer = KafkaProducer(bootstrap_servers=address, enable_idempotence=False, max_request_size=MAX_PRODUCE_BYTES)
    done, began = 0, 0.0
    while done < COUNT:
        records = [record for batch in consumer.poll(timeout_ms=200).values() for record in batch]
        began = began or (time.monotonic() if records else 0.0)
        pending = [producer.send(SINK, value, key=key) for key, value in (work(record.value) for record in records)]
        for acknowledgement in pending:
            acknowledgement.get(10)
        if records:
            consumer.commit()
        done += len(records)
    seconds = time.monotonic() - began
    consumer.close()
    producer.close()
    return seconds


def plain_aiokafka(address: str) -> float:
    """Consume with aiokafka and return the seconds from the first batch to the last commit."""

    async def run() -> float:
        consumer = AIOKafkaConsumer(
            SOURCE,
            bootstrap_servers=address,
            group_id="bench.aiokafka",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=1000,
            max_partition_fetch_bytes=MAX_FETCH_BYTES,
        )
        producer = AIOKafkaProducer(bootstrap_servers=address, max_request_size=MAX_PRODUCE_BYTES, acks="all")
        await producer.start()
        await consumer.start()
        done, began = 0, 0.0
        while done < COUNT:
            batches = await consumer.getmany(timeout_ms=200, max_records=BATCH)
            records = [record for batch in batches.values() for record in batch]
            began = began or (time.monotonic() if records else 0.0)
            made = [work(record.value) for record in records]
            await asyncio.gather(*[await producer.send(SINK, value, key=key) for key, value in made])
            if records:
                await consumer.commit()
            done += len(records)
        seconds = time.monotonic() - began
        await consumer.stop()
        await producer.stop()
        return seconds

    return asyncio.run(run())


def ingestion(addresses: Addresses) -> float:
    """Wait until the group of the running service has committed everything; return the seconds that took."""
    began = time.monotonic()
    kafka = kafka_settings(addresses)
    while any(lag.behind for lag in group_lags(kafka) if lag.stage == StageName.INGESTION):
        time.sleep(0.05)
    return time.monotonic() - began


def compare() -> Table:
    """Return a table of records per second.

    The service starts on an empty topic and is timed from the first publication on; the plain consumers find all
    records there and are timed from their first batch on.
    """
    values = spectra()
    addresses = Addresses.free()
    address = f"{HOST}:{addresses.kafka}"
    seconds: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        Stack(Path(name), addresses, report=lambda _: None, services=("ingestion",)) as stack,
    ):
        stack.start()
        began = time.monotonic()
        publish(address, values)
        published = time.monotonic() - began
        seconds["coronium ingestion"] = published + ingestion(addresses)
        seconds["aiokafka"] = plain_aiokafka(address)
        seconds["kafka-python"] = plain_kafka_python(address)
    megabytes = sum(map(len, values)) / 1e6
    table = Table(title=f"Ingestion of {COUNT} Capella exposures, {megabytes:.0f} MB, one process each")
    for heading in ("consumer", "seconds", "spectra / s", "MB / s"):
        table.add_column(heading, justify="left" if heading == "consumer" else "right")
    for who, taken in seconds.items():
        table.add_row(who, f"{taken:.1f}", f"{COUNT / taken:.0f}", f"{megabytes / taken:.1f}")
    table.caption = f"The service's time holds the {published:.1f} s in which the spectra were published."
    return table
