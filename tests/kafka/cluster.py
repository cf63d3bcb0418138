"""A real Apache Kafka on loopback (KRaft), from the distribution at KAFKA_HOME: one broker or several.

Written against the scripts of an ordinary distribution, so any Kafka 4 will do:
`bin/kafka-storage.sh` and `bin/kafka-server-start.sh`, with Java 17 or newer on the path.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.stream.broker import free_port

START_SECONDS = 90.0
STARTED = "Kafka Server started"
CONTROLLER = "CONTROLLER"


def kafka_home() -> Path:
    """Return the distribution; skip where KAFKA_HOME names none, fail when `CORONIUM_REQUIRE` names kafka."""
    home = os.environ.get("KAFKA_HOME", "")
    if home and Path(home, "bin", "kafka-server-start.sh").exists():
        return Path(home).resolve()
    reason = "needs a real Kafka: set KAFKA_HOME to a Kafka 4 distribution"
    if "kafka" in os.environ.get("CORONIUM_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


class Cluster:
    """Brokers that are their own controllers, with their data, logs and settings in a folder each.

    Parameters
    ----------
    directory : pathlib.Path
        Node i lives in ``directory/i``.
    brokers : int
        How many; three have replication 3 and two in-sync replicas at least.
    listeners : mapping of str to str
        Security protocol of each listener by its name; the brokers speak to each other over the first. The
        listener of the controllers is `CONTROLLER`, without encryption where it is not among them.
    properties : mapping of str to str
        Further settings of each broker.
    scram : mapping of str to str
        Passwords of the users that are there from the start.
    heap : str
        Memory of each broker, as Java's -Xmx takes it.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        listeners: Mapping[str, str] = {"CLIENTS": "PLAINTEXT"},
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
        heap: str = "512m",
    ) -> None:
        self._home = kafka_home()
        self._directory = directory
        self._protocols = {**listeners, CONTROLLER: listeners.get(CONTROLLER, "PLAINTEXT")}
        self._properties = dict(properties or {})
        self._scram = dict(scram or {})
        self._heap = heap
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.nodes = range(1, brokers + 1)
        self._ports = {node: {name: free_port() for name in self._protocols} for node in self.nodes}

    @property
    def addresses(self) -> str:
        """Bootstrap servers of the first listener."""
        return self.addresses_of(next(iter(self._protocols)))

    def addresses_of(self, listener: str) -> str:
        """Bootstrap servers of a listener."""
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._ports.values())

    def start(self) -> "Cluster":
        """Format and start all nodes; return when they serve."""
        storage = self._home / "bin" / "kafka-storage.sh"
        cluster = subprocess.run(
            [storage, "random-uuid"], check=True, capture_output=True, text=True, env=self._environment
        )
        users = [
            word
            for name, password in self._scram.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        for node in self.nodes:
            folder = self._directory / str(node)
            folder.mkdir(parents=True)
            settings = "".join(f"{name}={value}\n" for name, value in self._settings(node).items())
            (folder / "server.properties").write_text(settings)
            command = [storage, "format", "-t", cluster.stdout.strip(), "-c", folder / "server.properties", *users]
            subprocess.run(command, check=True, capture_output=True, env=self._environment)
            self._run(node)
        for node in self.nodes:
            self._wait_until_started(node)
        return self

    def start_node(self, node: int) -> None:
        """Start a node that was ended; its data are as they were left."""
        self._run(node)
        self._wait_until_started(node)

    def end(self, node: int, how: signal.Signals = signal.SIGTERM) -> None:
        """End a node: SIGTERM in order, SIGKILL as a power cut would."""
        process = self._processes[node]
        process.send_signal(how)
        process.wait(60)

    def stop(self) -> None:
        """End all nodes at once; what they hold is not needed any more."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def tool(self, name: str, *arguments: str) -> str:
        """Run a tool of the distribution, for example ``kafka-topics.sh``, and return what it prints."""
        command = [str(self._home / "bin" / name), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pid(self, node: int) -> int:
        """Return the process of a node."""
        return self._processes[node].pid

    def log(self, node: int) -> str:
        """Return what a node has written."""
        return (self._directory / str(node) / "log").read_text(errors="replace")

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"KAFKA_HEAP_OPTS": f"-Xmx{self._heap}", "LOG_DIR": str(self._directory)}

    def _run(self, node: int) -> None:
        folder = self._directory / str(node)
        command = [self._home / "bin" / "kafka-server-start.sh", folder / "server.properties"]
        with (folder / "log").open("wb") as log:
            self._processes[node] = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)

    def _wait_until_started(self, node: int) -> None:
        until = time.monotonic() + START_SECONDS
        while STARTED not in self.log(node):
            assert self._processes[node].poll() is None, f"broker {node} ended at once: {self.log(node)[-2000:]}"
            assert time.monotonic() < until, f"broker {node} does not start"
            time.sleep(0.1)

    def _settings(self, node: int) -> dict[str, str]:
        copies = min(3, len(self.nodes))
        voters = ",".join(f"{other}@127.0.0.1:{ports[CONTROLLER]}" for other, ports in self._ports.items())
        listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in self._ports[node].items()}
        advertised = [listener for name, listener in listeners.items() if name != CONTROLLER]
        return {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": voters,
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(advertised),
            "controller.listener.names": CONTROLLER,
            "inter.broker.listener.name": next(iter(self._protocols)),
            "listener.security.protocol.map": ",".join(map(":".join, self._protocols.items())),
            "log.dirs": str(self._directory / str(node) / "data"),
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(max(1, copies - 1)),
            "offsets.topic.replication.factor": str(copies),
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(max(1, copies - 1)),
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "auto.create.topics.enable": "false",
            **self._properties,
        }
