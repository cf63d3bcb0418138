"""Coronium: posteriors from a stream of coronal spectra.

`from coronium import Client` is all that publishing, querying and watching need; it imports neither torch nor
jax. The names here are looked up when they are first used, so that each service loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coronium.client.client import Client
    from coronium.client.errors import ClientError, NotFound, ServiceUnreachable, SpectrumRejected
    from coronium.client.result import Result

__all__ = ["Client", "ClientError", "NotFound", "Result", "ServiceUnreachable", "SpectrumRejected"]

_HOMES = {
    "Client": "coronium.client.client",
    "ClientError": "coronium.client.errors",
    "NotFound": "coronium.client.errors",
    "Result": "coronium.client.result",
    "ServiceUnreachable": "coronium.client.errors",
    "SpectrumRejected": "coronium.client.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
