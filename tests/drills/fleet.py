"""Replicas of all stages, started again when they end, as an orchestrator does it."""

import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import grpc
import psutil

from coronium.contract.topics import StageName
from coronium.operations.process import Process
from coronium.v1 import control_pb2, control_pb2_grpc
from tests._shared import REPOSITORY
from tests.stream.broker import free_port

STAGES = tuple(StageName)
_LOOK_SECONDS = 0.2


class Replica(Process):
    """One replica of a stage.

    Attributes
    ----------
    stage : StageName
    grpc_port : int
    """

    def __init__(self, stage: StageName, number: int, environment: Mapping[str, str], folder: Path) -> None:
        self.stage = stage
        self.grpc_port = free_port()
        own = {
            "GRPC__PORT": str(self.grpc_port),
            "METRICS__PORT": str(free_port()),
            "REPLICA": f"{stage.value}-{number}",
        }
        prefix = f"CORONIUM_{stage.value.upper()}__"
        super().__init__(
            f"{stage.value}-{number}",
            [sys.executable, "-m", f"coronium.{stage.value}"],
            {**os.environ, **environment, **{prefix + name: value for name, value in own.items()}},
            folder / f"{stage.value}-{number}.log",
            REPOSITORY,
        )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.starts > 0 and self.exit_code is None

    def send(self, what: signal.Signals) -> None:
        """Send it a signal; nothing where it has just ended."""
        if self.alive:
            os.kill(self.pid, what)

    def worker(self) -> psutil.Process | None:
        """Return its worker process, where it has one now."""
        try:
            children = psutil.Process(self.pid).children()
        except psutil.Error:
            return None
        return next((child for child in children if "spawn_main" in " ".join(child.cmdline())), None)

    def state(self) -> control_pb2.StatusResponse | None:
        """Return what it says of its stage; None while it cannot."""
        try:
            with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
                return control_pb2_grpc.ControlServiceStub(channel).Status(control_pb2.StatusRequest(), timeout=5)
        except grpc.RpcError:
            return None


class Fleet:
    """Every replica there should be.

    Parameters
    ----------
    environment : mapping of str to str
        Settings of all services, with their whole names.
    folder : pathlib.Path
        Of the logs.
    chance : random.Random
        Chooses replicas.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, chance: random.Random) -> None:
        self.environment = dict(environment)
        self._folder = folder
        self._chance = chance
        self._numbers = dict.fromkeys(STAGES, 0)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.replicas: list[Replica] = []
        self.restarts = 0
        threading.Thread(target=self._supervise, daemon=True, name="supervise").start()

    def of(self, stage: StageName) -> list[Replica]:
        """Return the replicas of a stage."""
        with self._lock:
            return [replica for replica in self.replicas if replica.stage == stage]

    def any(self, stage: StageName) -> Replica:
        """Return one of the living replicas of a stage."""
        return self._chance.choice([replica for replica in self.of(stage) if replica.alive])

    def add(self, stage: StageName) -> Replica:
        """Start one more."""
        with self._lock:
            self._numbers[stage] += 1
            replica = Replica(stage, self._numbers[stage], self.environment, self._folder)
            replica.start()
            self.replicas.append(replica)
        return replica

    def remove(self, replica: Replica) -> None:
        """Ask one to end, for good."""
        with self._lock:
            self.replicas.remove(replica)
        replica.terminate()

    def settled(self, stage: StageName, partitions: int) -> bool:
        """Whether all living replicas of a stage are in the group and share all partitions."""
        replicas = self.of(stage)
        told = replicas[0].state() if all(replica.alive for replica in replicas) else None
        if told is None:
            return False
        names = {replica.name for replica in replicas}
        held = [partition for state in told.replicas if state.replica in names for partition in state.partitions]
        return len(told.replicas) >= len(replicas) and sorted(held) == list(range(partitions))

    def stop(self) -> None:
        """End all."""
        self._closing.set()
        with self._lock:
            for replica in self.replicas:
                replica.send(signal.SIGCONT)
                replica.kill()

    def _supervise(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            with self._lock:
                for replica in self.replicas:
                    if replica.exit_code is not None and not self._closing.is_set():
                        self.restarts += 1
                        replica.start()
