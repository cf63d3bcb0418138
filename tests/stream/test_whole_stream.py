"""Forty simulated spectra with known truth through every service.

On the way: duplicates, nonsense, a SIGTERM to each service, and a spectrum that kills the worker which works on it.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from google.protobuf.wrappers_pb2 import UInt64Value
from kafka import KafkaProducer

from coronium.client.client import Client
from coronium.client.result import DeadLetter, Result
from coronium.contract.topics import ATTEMPTS, DEFAULT_PREFIX, OBSERVATIONS, SPECTRA, StageName, TopicNames
from coronium.operations import health
from coronium.operations.addresses import HOST, SERVICES, Addresses
from coronium.operations.profile import kafka_settings
from coronium.operations.stack import Stack
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments import get_instrument
from coronium.physics.observation_model import ModelCache
from coronium.physics.simulator import Simulator, Truth
from coronium.physics.spectrum import Spectrum
from coronium.v1 import spectrum_pb2
from tests._shared import REPOSITORY
from tests.stream.broker import Stream
from tests.stream.poisoned_worker import POISON
from tests.stream.service import eventually
from tests.unit.spectra import good_spectrum

pytestmark = pytest.mark.timeout(600)

SPECTRA_COUNT = 40
DUPLICATES = 10
SECONDS = 420.0

# Enough for the stream's promises and a rough look at the truth; the science tests judge the posterior. Small batches
# of extraction let fitting begin while a worker is poisoned.
QUICK = {"fitting": {"MOST_ROUNDS": "2", "DRAWS": "50"}, "extraction": {"BATCH_SIZE": "8"}}


@dataclass(frozen=True)
class Journey:
    """What went in and what came out.

    Attributes
    ----------
    attempts : list of (key, count or None)
        Everything that was ever recorded of solo attempts, in order; None where they were forgotten.
    """

    fingerprints: list[str]
    poison: str
    truths: list[Truth]
    results: list[Result]
    rows: list[Result]
    dead_letters: list[DeadLetter]
    attempts: list[tuple[str, int | None]]
    restarted: set[str]
    exits: dict[str, int | None]


class PoisonableStack(Stack):
    """The stack, with an extraction service whose worker one target kills."""

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        if name == StageName.EXTRACTION:
            command = [sys.executable, "-m", "tests.stream.poisoned_extraction"]
            paths = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
            environment = {**environment, "PYTHONPATH": os.pathsep.join(paths)}
        super()._start(name, command, environment)


def simulated() -> tuple[list[Spectrum], list[Truth], Spectrum]:
    """Draw the spectra, each of a target of its own, and the poison, which is as good as any of them."""
    simulator = Simulator(ModelCache(load_table()), get_instrument("hinode-eis"))
    *drawn, (last, _) = simulator.draw(SPECTRA_COUNT + 1, np.random.default_rng(5), (3.0, 20.0))
    spectra = [replace(spectrum, target=f"simulated/{i:03d}") for i, (spectrum, _) in enumerate(drawn)]
    return spectra, [truth for _, truth in drawn], replace(last, target=POISON)


def recorded_attempts(kafka: str) -> list[tuple[str, int | None]]:
    """Return all that was recorded of extraction's solo attempts, in order."""
    start = f"{StageName.EXTRACTION}/{TopicNames().name(OBSERVATIONS)}/"
    found = [((key or b"").decode(), value) for key, value in Stream(kafka, DEFAULT_PREFIX).read(ATTEMPTS)]
    return [
        (key, None if value is None else UInt64Value.FromString(value).value)
        for key, value in found
        if key.startswith(start) and key.removeprefix(start).count("/") == 1
    ]


def nonsense() -> list[tuple[str, bytes]]:
    """Return five records that no stage can use, as (reason, value)."""
    falling = good_spectrum("bad/falling")
    falling.channels[0].wavelength_edges[:] = list(falling.channels[0].wavelength_edges)[::-1]
    infinite = good_spectrum("bad/infinite")
    infinite.channels[0].counts[0] = float("inf")
    short = good_spectrum("bad/short")
    del short.channels[0].counts[-1]
    stranger = good_spectrum("bad/stranger")
    stranger.instrument = "hubble"
    return [
        ("malformed", b"\xff these bytes are no message"),
        ("invalid", falling.SerializeToString()),
        ("invalid", infinite.SerializeToString()),
        ("invalid", short.SerializeToString()),
        ("unknown_instrument", stranger.SerializeToString()),
    ]


def publish_raw(kafka: str, values: list[bytes]) -> None:
    """Publish values as a stranger's producer would: no headers, no checks."""
    producer = KafkaProducer(bootstrap_servers=kafka, enable_idempotence=False)
    for value in values:
        producer.send(TopicNames().name(SPECTRA), value, key=b"bad").get(timeout=10)
    producer.close()


def restart_each(stack: Stack, done: Callable[[], int]) -> set[str]:
    """Send SIGTERM to each service in turn while results come in; return those that were started again."""
    restarted = set()
    for number, service in enumerate(SERVICES):
        wanted = (number + 1) * SPECTRA_COUNT // (len(SERVICES) + 2)
        until = time.monotonic() + SECONDS
        while done() < wanted and time.monotonic() < until:
            time.sleep(0.1)
        process = stack.processes[service]
        before = process.starts
        os.kill(process.pid, signal.SIGTERM)
        while process.starts == before and time.monotonic() < until:
            time.sleep(0.1)
        if process.starts > before:
            restarted.add(service)
    return restarted


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Send everything through a stack and take down what came of it."""
    spectra, truths, poison = simulated()
    bad = nonsense()
    addresses = Addresses.free()
    kafka = kafka_settings(addresses).bootstrap_servers
    results_address = f"{HOST}:{addresses.grpc['results']}"
    with PoisonableStack(tmp_path_factory.mktemp("stream"), addresses, settings=QUICK) as stack:
        stack.start()
        threading.Thread(target=stack.supervise, daemon=True).start()
        with Client(results_address, kafka=kafka, timeout=60.0) as client:
            arrived: set[str] = set()
            restarted: set[str] = set()
            with client.watch(seconds=SECONDS) as incoming:
                fingerprints = client.publish([*spectra, poison, *spectra[:DUPLICATES]])
                poisoned = fingerprints.pop(SPECTRA_COUNT)
                publish_raw(kafka, [value for _, value in bad])
                restarts = threading.Thread(
                    target=lambda: restarted.update(restart_each(stack, lambda: len(arrived))), daemon=True
                )
                restarts.start()
                for result in incoming:
                    arrived.update(result.fingerprints)
                    if len(arrived) == SPECTRA_COUNT:
                        break
            restarts.join(60.0)
            eventually(lambda: health.grpc_serves(results_address), 60, "an answer of the results service")
            stored = {result.id: result for result in client.list(include_superseded=True)}
            rows = list(client.list(include_superseded=True))
            everything = len(bad) + 1
            eventually(lambda: len(list(client.dead_letters())) >= everything, 60, "the last dead letter")
            letters = list(client.dead_letters())
            attempts = recorded_attempts(kafka)
            found = Journey(
                fingerprints, poisoned, truths, list(stored.values()), rows, letters, attempts, restarted, {}
            )
    return replace(found, exits={name: stack.processes[name].exit_code for name in SERVICES})


def test_every_result_is_in_the_store_exactly_once_although_some_were_published_twice(journey: Journey):
    assert len(journey.fingerprints) == SPECTRA_COUNT + DUPLICATES
    assert len(set(journey.fingerprints)) == SPECTRA_COUNT
    counted = Counter(fingerprint for result in journey.rows for fingerprint in result.fingerprints)
    assert counted == dict.fromkeys(set(journey.fingerprints), 1)


def test_what_cannot_be_used_is_a_dead_letter_with_its_reason_and_original_bytes(journey: Journey):
    letters = [letter for letter in journey.dead_letters if letter.stage == "ingestion"]
    assert sorted((letter.reason, letter.value) for letter in letters) == sorted(nonsense())
    assert all(letter.detail.endswith(".") for letter in letters)


def test_a_spectrum_that_kills_its_worker_three_times_is_one_dead_letter_and_its_neighbours_complete(journey: Journey):
    (letter,) = [letter for letter in journey.dead_letters if letter.stage != "ingestion"]
    assert (letter.stage, letter.reason, letter.attempts) == ("extraction", "crash", 3)
    assert "exit code -9" in letter.detail
    observation = spectrum_pb2.Observation.FromString(letter.value)
    assert (observation.spectrum.target, observation.fingerprint) == (POISON, journey.poison)
    # Each attempt was on the broker before it began; the letter ended them.
    key = f"{letter.stage}/{letter.topic}/{letter.partition}/{letter.offset}"
    assert [count for found, count in journey.attempts if found == key] == [1, 2, 3, None]
    # Nobody else needed more than the one that was begun, unless its service was ended meanwhile.
    assert all(count in (0, 1, None) for found, count in journey.attempts if found != key)
    assert {result.target for result in journey.results} == {f"simulated/{i:03d}" for i in range(SPECTRA_COUNT)}


def test_every_service_was_ended_on_the_way_and_nothing_was_lost(journey: Journey):
    assert journey.restarted == set(SERVICES)
    assert {target.target for target in journey.results} == {f"simulated/{i:03d}" for i in range(SPECTRA_COUNT)}


def test_every_service_ends_cleanly(journey: Journey):
    assert journey.exits == dict.fromkeys(SERVICES, 0)


def test_the_posteriors_hold_the_truth(journey: Journey):
    # At 95 % coverage fewer than 32 of 40 happen less than once in ten thousand times.
    truths = {f"simulated/{i:03d}": truth for i, truth in enumerate(journey.truths)}
    for name in ("log_temperature", "log_density"):
        inside = [
            result.parameters[name].lower95 <= getattr(truths[result.target], name) <= result.parameters[name].upper95
            for result in journey.results
        ]
        assert sum(inside) >= 32, name


def test_every_result_says_what_made_it_and_when(journey: Journey):
    for result in journey.results:
        assert result.received_at is not None
        assert result.fitted_at is not None
        assert result.received_at <= result.fitted_at
        assert all(result.versions[name] for name in ("software", "emissivity_table", "network", "priors"))
