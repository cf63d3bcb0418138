"""Where each part of an embedded stack listens, all on this machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from coronium.contract.topics import StageName
from coronium.runtime.errors import StartError

HOST = "127.0.0.1"
STAGES = tuple(stage.value for stage in StageName)
GATEWAY = "gateway"
SERVICES = (*STAGES, GATEWAY)

_KAFKA_PORT = 9092
_FIRST_GRPC_PORT = 50051
_FIRST_METRICS_PORT = 9464
_REST_PORT = 8080


@dataclass(frozen=True)
class Addresses:
    """Ports of an embedded stack.

    Attributes
    ----------
    kafka, rest : int
    grpc, metrics : dict of str to int
        By stage.
    """

    kafka: int
    rest: int
    grpc: dict[str, int]
    metrics: dict[str, int]

    @classmethod
    def usual(cls, offset: int = 0) -> Addresses:
        """Return the ports that clients look at without being told, each moved by `offset`."""
        return cls(
            kafka=_KAFKA_PORT + offset,
            rest=_REST_PORT + offset,
            grpc={stage: _FIRST_GRPC_PORT + offset + i for i, stage in enumerate(STAGES)},
            metrics={stage: _FIRST_METRICS_PORT + offset + i for i, stage in enumerate(STAGES)},
        )

    @classmethod
    def free(cls) -> Addresses:
        """Return ports that nobody listens on."""
        with contextlib.ExitStack() as held:
            ports = iter([_free_port(held) for _ in range(2 + 2 * len(STAGES))])
            return cls(
                kafka=next(ports),
                rest=next(ports),
                grpc={stage: next(ports) for stage in STAGES},
                metrics={stage: next(ports) for stage in STAGES},
            )

    def named(self) -> Iterator[tuple[str, int]]:
        """Iterate over (what it is, port)."""
        yield "Kafka", self.kafka
        for stage, port in self.grpc.items():
            yield f"gRPC of {stage}", port
        yield "REST", self.rest
        for stage, port in self.metrics.items():
            yield f"metrics of {stage}", port

    def urls(self) -> Iterator[tuple[str, str]]:
        """Iterate over (what it is, address to copy)."""
        for name, port in self.named():
            scheme, path = "", ""
            if name == "REST":
                scheme, path = "http://", "/docs"
            elif name.startswith("metrics"):
                scheme, path = "http://", "/metrics"
            yield name, f"{scheme}{HOST}:{port}{path}"

    def refuse_busy(self) -> None:
        """Return when all ports can be listened on.

        Raises
        ------
        StartError
            Names every port that is taken and what it was for.
        """
        busy = [f"{port} ({name})" for name, port in self.named() if not _can_listen(port)]
        if busy:
            plural = "s" if len(busy) > 1 else ""
            raise StartError(
                f"port{plural} {', '.join(busy)} taken by another program: stop it, or move all ports with "
                "`coronium up --port-offset 1000`."
            )


def _free_port(held: contextlib.ExitStack) -> int:
    listener = held.enter_context(socket.socket())
    listener.bind((HOST, 0))
    return listener.getsockname()[1]


def _can_listen(port: int) -> bool:
    with socket.socket() as listener:
        # As servers do: a port of connections that are just closing is no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True
