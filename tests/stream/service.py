"""Run a service as a process of its own, as an operator would, and wait for what it does."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from tests._shared import REPOSITORY
from tests.stream.broker import Stream, free_port


def eventually(condition: Callable[[], Any], seconds: float = 15.0, what: str = "it") -> Any:
    """Return the first true value of a condition; fail where none comes in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


class Service:
    """A service process of the test stage.

    Parameters
    ----------
    stream : Stream
        What it consumes.
    log : pathlib.Path
        Where its standard error goes.
    **settings : str
        Further settings, for example ``LOOP__DEADLINE_SECONDS="2"``.
    """

    def __init__(
        self, stream: Stream, log: Path, module: str = "tests.stream.squares_service", **settings: str
    ) -> None:
        self.grpc_port, self.metrics_port = free_port(), free_port()
        self.log = log
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CORONIUM_")}
        values = {
            "KAFKA__BOOTSTRAP_SERVERS": stream.address,
            "KAFKA__PREFIX": stream.prefix,
            # The embedded broker lets a group wait for half a session before its first member may start.
            "KAFKA__SESSION_SECONDS": "3",
            "KAFKA__HEARTBEAT_SECONDS": "0.5",
            "GRPC__PORT": str(self.grpc_port),
            "METRICS__PORT": str(self.metrics_port),
            "LOOP__BACKOFF_SECONDS": "0.2",
            **{f"KAFKA__{name.upper()}": value for name, value in stream.credentials.items()},
            **settings,
        }
        environment |= {f"CORONIUM_{name}": value for name, value in values.items()}
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=REPOSITORY, env=environment, stderr=stderr
            )

    def lines(self) -> list[dict[str, Any]]:
        """Return its structured log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return its log lines with this message."""
        return [line for line in self.lines() if line["message"] == message]

    def wait_until_ready(self) -> "Service":
        """Wait until it has said that it is ready."""
        eventually(lambda: self.said("ready") or self.process.poll() is not None, 60, "ready")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def channel(self) -> grpc.Channel:
        """Return a channel to its gRPC server."""
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def metrics(self) -> str:
        """Return what Prometheus would see."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as page:
            return page.read().decode()

    def terminate(self, seconds: float = 20.0) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
