"""The whole stream as it runs in production, on one machine: three brokers, a database, two replicas of each stage."""

import contextlib
import random
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from kafka import KafkaProducer
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from coronium.contract.conversion import spectrum_to_message
from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_PRODUCE_BYTES
from coronium.contract.topics import SPECTRA
from coronium.operations.profile import cache_folder
from coronium.physics.atomic.table import load_table
from coronium.physics.instruments import get_instrument
from coronium.physics.observation_model import ModelCache
from coronium.physics.simulator import Simulator
from coronium.results.database import open_engine
from coronium.runtime.admin import create_topics
from coronium.runtime.settings import KafkaSettings
from tests.drills.fleet import STAGES, Fleet
from tests.drills.ledger import Account, Chunk, Position, account, strangers
from tests.drills.postgresql import Database
from tests.kafka.cluster import Cluster

PREFIX = "drill"
PARTITIONS = 6
BROKERS = 3
REPLICAS = 2
SESSION_SECONDS = 6
SIMULATIONS = 64
INSTRUMENT = "hinode-eis"

# A quarter of production's, so that a drill can wait for them.
DEADLINES = {"DEADLINE_SECONDS": "15", "REBALANCE_SECONDS": "22", "GRACE_SECONDS": "30"}


class World:
    """Everything that faults are done to.

    Parameters
    ----------
    folder : pathlib.Path
        Of data and logs.
    chance : random.Random
        Whom faults meet.
    max_rung : str
        How far fitting goes.
    brokers, replicas : int
        How many, the latter of each stage.
    """

    def __init__(
        self,
        folder: Path,
        chance: random.Random,
        max_rung: str = "network",
        brokers: int = BROKERS,
        replicas: int = REPLICAS,
    ) -> None:
        self.chance = chance
        self.folder = folder
        self.cluster = Cluster(folder / "kafka", brokers=brokers, heap="384m")
        self._brokers = brokers
        self._replicas = replicas
        self.database = Database(folder / "postgresql")
        self._max_rung = max_rung
        self._numbers = count()
        self.published = Chunk(frozenset(), frozenset())

    def __enter__(self) -> "World":
        with contextlib.ExitStack() as stack:
            stack.callback(self.cluster.stop)
            self.cluster.start()
            stack.callback(self.database.stop)
            self.database.start()
            self.kafka = KafkaSettings(bootstrap_servers=self.cluster.addresses, prefix=PREFIX)
            create_topics(self.kafka, partitions=PARTITIONS, replication=min(3, self._brokers))
            self.engine: Engine = open_engine(self.database.url)
            stack.callback(self.engine.dispose)
            self.producer = KafkaProducer(
                bootstrap_servers=self.cluster.addresses,
                acks="all",
                max_request_size=MAX_PRODUCE_BYTES,
                delivery_timeout_ms=90_000,
            )
            stack.callback(self.producer.close, 5)
            self._spectra = simulated()
            self.fleet = Fleet(self._environment(), self.folder, self.chance)
            stack.callback(self.fleet.stop)
            for stage in STAGES:
                for _ in range(self._replicas):
                    self.fleet.add(stage)
            self.wait_until_settled(180)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def publish(self, good: int, bad: int = 1, copies: int = 1) -> Chunk:
        """Publish new spectra, and records that are none, in any order; return when the brokers have them."""
        values, names = [], set()
        for number in (next(self._numbers) for _ in range(good)):
            message = self._spectra[number % SIMULATIONS]
            message.target = f"drill/{number:06d}"
            names.add(fingerprint(message))
            values += [(message.target.encode(), message.SerializeToString())] * copies
        nonsense = [(b"bad", b"\xff no message: %d" % next(self._numbers)) for _ in range(bad)]
        everything = [(item, False) for item in values] + [(item, True) for item in nonsense]
        self.chance.shuffle(everything)
        topic = self.kafka.topics.name(SPECTRA)
        pending = [
            (self.producer.send(topic, value, key=key, headers=list(Headers.new().encode().items())), is_bad)
            for (key, value), is_bad in everything
        ]
        acknowledged = [(future.get(120), is_bad) for future, is_bad in pending]
        positions = {(a.topic, a.partition, a.offset) for a, is_bad in acknowledged if is_bad}
        chunk = Chunk(frozenset(names), frozenset(positions))
        self.published |= chunk
        return chunk

    def account(self, chunk: Chunk, *, checksums: bool = False) -> Account | None:
        """Return what became of a chunk; None while the database is away."""
        try:
            return account(self.engine, chunk, checksums=checksums)
        except SQLAlchemyError:
            return None

    def strangers(self) -> set[str | Position]:
        """Return what the store holds of records that were never published."""
        return strangers(self.engine, self.published)

    def in_flight(self, chunk: Chunk) -> int:
        """Return how many records of a chunk have no outcome yet."""
        found = self.account(chunk)
        return len(chunk) if found is None else len(found.lost)

    def wait_for(self, chunk: Chunk, seconds: float, left: int = 0) -> bool:
        """Wait until at most `left` records of a chunk are in flight; return whether it came so."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.in_flight(chunk) <= left:
                return True
            time.sleep(0.2)
        return False

    def wait_until_settled(self, seconds: float) -> None:
        """Wait until every living replica holds its share of the partitions.

        Raises
        ------
        TimeoutError
        """
        until = time.monotonic() + seconds
        for stage in STAGES:
            while not self.fleet.settled(stage, PARTITIONS):
                if time.monotonic() > until:
                    raise TimeoutError(f"the replicas of {stage.value} do not share the partitions")
                time.sleep(0.3)

    def _environment(self) -> dict[str, str]:
        settings = {
            "KAFKA__BOOTSTRAP_SERVERS": self.cluster.addresses,
            "KAFKA__PREFIX": PREFIX,
            "KAFKA__SESSION_SECONDS": str(SESSION_SECONDS),
            "KAFKA__HEARTBEAT_SECONDS": "1",
            "LOOP__BACKOFF_MAX_SECONDS": "2",
            "RESULTS__DATABASE_URL": self.database.url,
            "EXTRACTION__WORKER__THREADS": "1",
            "EXTRACTION__BATCH_SIZE": "8",
            "INGESTION__REMEMBERED_SPECTRA": "0",
            "FITTING__MAX_RUNG": self._max_rung,
        }
        if self._max_rung == "network":
            settings |= {f"LOOP__{name}": value for name, value in DEADLINES.items()}
        else:
            settings["FITTING__COMPILATION_CACHE"] = str(cache_folder())
        return {f"CORONIUM_{name}": value for name, value in settings.items()}


def simulated() -> list:
    """Return the spectra of the drill, to which targets are given: simulations of one instrument, S/N 1 to 10."""
    simulator = Simulator(ModelCache(load_table()), get_instrument(INSTRUMENT))
    drawn = simulator.draw(SIMULATIONS, np.random.default_rng(11), (1.0, 10.0))
    return [spectrum_to_message(replace(spectrum, target="drill")) for spectrum, _ in drawn]
