"""Whether a part of the stack answers."""

from __future__ import annotations

import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_SECONDS = 2.0


def kafka_answers(address: str) -> bool:
    """Return whether a broker answers with its cluster's description."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=round(_SECONDS * 1000)).close()
    except KafkaError:
        return False
    return True


def grpc_serves(address: str) -> bool:
    """Return whether the health service at an address says that it serves."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def http_answers(url: str) -> bool:
    """Return whether a page answers with a success."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as page:
            return 200 <= page.status < 300
    except (urllib.error.URLError, OSError):
        return False
