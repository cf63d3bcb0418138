"""Coronium: posteriors from a stream of coronal spectra.

`from coronium import Client` is all that publishing, querying and watching need; it imports neither torch nor
jax. The names here are looked up when they are first used, so that each service loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coronium.brokers.connection import KafkaConnection
    from coronium.cli.settings import connect
    from coronium.client.client import Client
    from coronium.client.credentials import Tls
    from coronium.client.errors import (
        ClientError,
        LimitReached,
        NotAllowed,
        NotFound,
        ServiceUnreachable,
        SpectrumRejected,
    )
    from coronium.client.result import Result

__all__ = [
    "Client",
    "ClientError",
    "KafkaConnection",
    "LimitReached",
    "NotAllowed",
    "NotFound",
    "Result",
    "ServiceUnreachable",
    "SpectrumRejected",
    "Tls",
    "connect",
]

_HOMES = {
    "Client": "coronium.client.client",
    "ClientError": "coronium.client.errors",
    "KafkaConnection": "coronium.brokers.connection",
    "LimitReached": "coronium.client.errors",
    "NotAllowed": "coronium.client.errors",
    "NotFound": "coronium.client.errors",
    "Result": "coronium.client.result",
    "ServiceUnreachable": "coronium.client.errors",
    "SpectrumRejected": "coronium.client.errors",
    "Tls": "coronium.client.credentials",
    "connect": "coronium.cli.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
