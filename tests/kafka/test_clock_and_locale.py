"""The same spectra give the same fingerprints, ids, times and output, whatever the clock, the language and the time
zone of the machine that works on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from sqlalchemy import select
from sqlalchemy.orm import Session

from coronium.contract.topics import OBSERVATIONS, POSTERIORS, SPECTRA, StageName
from coronium.results.database import open_engine
from coronium.results.models import Result, StoredObservation
from coronium.runtime.admin import create_topics
from coronium.v1 import spectrum_pb2
from tests._shared import REPOSITORY
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually
from tests.unit.posterior_factory import posterior, spectrum
from tests.unit.spectra import good_spectrum

pytestmark = pytest.mark.timeout(600)

YEAR = 365 * 86_400
TURKISH = "tr_TR.UTF-8"
"""Where the small letter of I is another than everywhere else, and a number has a comma for its point."""


def turkish(folder: Path) -> dict[str, str]:
    """Return the environment of a Turkish machine; the locale is compiled where the system has none."""
    if shutil.which("localedef") is None:
        pytest.skip("needs localedef, which compiles locales")
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / TURKISH)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not (folder / TURKISH).is_dir():
        pytest.skip(f"needs the sources of the locale tr_TR: {done.stderr[-200:]}")
    return {"LOCPATH": str(folder), "LC_ALL": TURKISH}


def kiritimati(folder: Path) -> dict[str, str]:
    """Return the environment of the place where every day begins first."""
    return {"TZ": "Pacific/Kiritimati"}


def skewed(seconds: int) -> Callable[[Path], dict[str, str]]:
    """Return what makes the environment of a machine whose clock is wrong."""

    def make(folder: Path) -> dict[str, str]:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler, for a clock that is wrong")
        library = folder / "skewed_clock.so"
        source = Path(__file__).with_name("skewed_clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
        return {"LD_PRELOAD": str(library), "SKEW_SECONDS": str(seconds)}

    return make


ELSEWHERE = {
    "kiritimati": kiritimati,
    "turkish": turkish,
    "a year ahead": skewed(YEAR),
    "in 1999": skewed(round(915_148_800 - time.time())),
}


@dataclass
class Seen:
    """What came of the same records somewhere: all that must not depend on where."""

    observations: list[str]
    dead_letters: list[tuple[str, str, bytes]]
    rows: list[tuple[Any, ...]]
    listed: list[list[str]]
    output: str


def environment(folder: Path, changes: dict[str, str], module: str) -> dict[str, str]:
    return {**os.environ, **changes, "LOCALISED_MODULE": module}


def run_through(stream: Stream, folder: Path, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Publish the same records and take down what services, queries and commands make of them in an environment."""
    url = f"sqlite:///{folder / 'results.db'}"
    services = {}
    for name in ("ingestion", "results"):
        with monkeypatch.context() as patched:
            for key, value in environment(folder, changes, f"coronium.{name}").items():
                patched.setenv(key, value)
            services[name] = Service(stream, folder / f"{name}.log", "tests.kafka.localised", RESULTS__DATABASE_URL=url)
    try:
        publish(stream)
        eventually(lambda: sum(stream.committed(StageName.INGESTION, SPECTRA).values()) == 6, 60, "six spectra")
        eventually(lambda: sum(stream.committed(StageName.RESULTS, POSTERIORS).values()) == 3, 60, "three posteriors")
        eventually(lambda: sum(stream.committed(StageName.RESULTS, OBSERVATIONS).values()) == 4, 60, "observations")
        address = f"127.0.0.1:{services['results'].grpc_port}"
        return Seen(
            observations=sorted(map(observed, stream.read(OBSERVATIONS))),
            dead_letters=sorted(
                (letter.key.decode(), letter.detail, letter.value)
                for letter in stream.dead_letters(StageName.INGESTION)
            ),
            rows=rows(url),
            listed=[ids(folder, changes, address, *flags) for flags in QUERIES],
            output=command(folder, changes, "results", "--results", address)
            + command(folder, changes, "get", posterior().result_id, "--results", address),
        )
    finally:
        codes = {name: service.terminate(60) for name, service in services.items() if service.process.poll() is None}
        assert codes == dict.fromkeys(services, 0), {name: s.log.read_text()[-1500:] for name, s in services.items()}


QUERIES = (
    (),
    ("--observed-from", "2024-03-01T00:00:00"),
    ("--observed-from", "2024-03-01T00:00:01"),
    ("--observed-until", "2024-03-02T00:00:00"),
    ("--observed-until", "2024-03-02"),
    ("--log-t", "6.65:6.75"),
    ("--instrument", "chandra-letg", "--target", "ILIc*"),
)


def publish(stream: Stream) -> None:
    """Publish four good spectra, of which one is older than any retention, two bad ones, and three results."""
    producer = KafkaProducer(bootstrap_servers=stream.address, enable_idempotence=False)
    stamps = (None, 1, 1_000_000_000_000, None)
    for number, stamp in enumerate(stamps):
        message = good_spectrum(f"sun/x{number}") if number % 2 else spectrum("ILIca", seed=number)
        value = message.SerializeToString()
        producer.send(stream.name(SPECTRA), value, key=message.target.encode(), timestamp_ms=stamp, partition=0)
    strange = good_spectrum("sun/strange")
    strange.exposures[0].start.seconds = 2**60
    for value in (strange.SerializeToString(), b"\xff"):
        producer.send(stream.name(SPECTRA), value, key=b"bad", partition=0)
    for one in (posterior(), posterior("ILIca", seeds=(1,)), posterior("izmir", seeds=(2,), log_temperature=6.2)):
        producer.send(stream.name(POSTERIORS), one.SerializeToString(), key=one.target.encode(), partition=0)
    producer.flush()
    producer.close()


def observed(record: tuple[bytes | None, bytes | None]) -> str:
    """Return an observation in words; when it was received is the broker's clock, and checked against ours."""
    message = spectrum_pb2.Observation.FromString(record[1] or b"")
    assert abs(message.received_at.seconds - time.time()) < 300
    message.ClearField("received_at")
    return str(message)


def rows(url: str) -> list[tuple[Any, ...]]:
    engine = open_engine(url)
    with Session(engine) as session:
        results = session.execute(
            select(Result.result_id, Result.target, Result.observed_at, Result.fitted_at, Result.log_temperature)
        )
        observations = session.execute(
            select(StoredObservation.fingerprint, StoredObservation.target, StoredObservation.observed_at)
        )
        found = sorted([tuple(row) for row in results], key=str) + sorted([tuple(row) for row in observations], key=str)
    engine.dispose()
    return found


def command(folder: Path, changes: dict[str, str], *arguments: str) -> str:
    """Run the command line there and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kafka.localised", *arguments],
        cwd=REPOSITORY,
        env=environment(folder, changes, "coronium.cli"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(folder: Path, changes: dict[str, str], address: str, *flags: str) -> list[str]:
    found = json.loads(command(folder, changes, "results", "--json", "--results", address, *flags))
    return sorted(result["id"] for result in found)


@pytest.fixture(scope="module")
def here(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What comes of the records on a machine as most are: UTC, no language, a clock that is right."""
    stream = Stream(broker, "clock-here")
    create_topics(stream.kafka, partitions=PARTITIONS)
    with pytest.MonkeyPatch.context() as patched:
        return run_through(stream, tmp_path_factory.mktemp("here"), {"TZ": "UTC", "LC_ALL": "C"}, patched)


def test_here_there_is_something_to_compare(here: Seen) -> None:
    assert (len(here.observations), len(here.dead_letters), len(here.rows)) == (4, 2, 7)
    assert [len(found) for found in here.listed] == [3, 3, 2, 1, 1, 2, 1]
    assert "6.70" in here.output


@pytest.mark.parametrize("place", ELSEWHERE)
def test_nothing_is_other_elsewhere(
    here: Seen, stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    there = run_through(stream, tmp_path, ELSEWHERE[place](tmp_path), monkeypatch)
    assert there.observations == here.observations
    assert there.dead_letters == here.dead_letters
    assert there.rows == here.rows
    assert there.listed == here.listed
    assert there.output == here.output
