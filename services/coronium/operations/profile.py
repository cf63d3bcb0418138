"""How the services of an embedded stack are told to run: one machine, one replica of each, memory-only broker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from coronium.compute import cache_folder
from coronium.contract.topics import StageName
from coronium.operations.addresses import GATEWAY, HOST, STAGES, Addresses
from coronium.runtime.settings import KafkaSettings

PARTITIONS = 4

_SESSION_SECONDS, _HEARTBEAT_SECONDS = 6.0, 1.0
"""The first member of a group waits for half a session, and the embedded broker rebalances by heartbeats."""

# On a small machine compiling the model for a new kind of spectrum takes part of the first batch's time.
_DEADLINES = {
    "LOOP__DEADLINE_SECONDS": "600",
    "LOOP__REBALANCE_SECONDS": "660",
    "LOOP__GRACE_SECONDS": "720",
    "WORKER__WARM_SECONDS": "600",
}


def kafka_settings(addresses: Addresses) -> KafkaSettings:
    """Return how this process reaches the broker of a stack."""
    return KafkaSettings(
        bootstrap_servers=f"{HOST}:{addresses.kafka}",
        session_seconds=_SESSION_SECONDS,
        heartbeat_seconds=_HEARTBEAT_SECONDS,
    )


def environment(
    service: str, addresses: Addresses, folder: Path, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of one service.

    What a user has set for the service stands above the profile; addresses do not, because the parts of a stack
    must find each other.

    Parameters
    ----------
    service : str
    addresses : Addresses
    folder : path
        Of the database.
    overrides : mapping of str to str, optional
        Names without their prefix `CORONIUM_<SERVICE>__`.
    """
    prefix = f"CORONIUM_{service.upper()}__"
    profile = {**_profile(service, folder), **(overrides or {})}
    inherited = {name: value for name, value in os.environ.items() if name != "CORONIUM_SETTINGS_FILE"}
    return {
        **{f"{prefix}{name}": value for name, value in profile.items()},
        **inherited,
        **{f"{prefix}{name}": value for name, value in _wiring(service, addresses).items()},
    }


def _wiring(service: str, addresses: Addresses) -> dict[str, str]:
    if service == GATEWAY:
        return {
            "PORT": str(addresses.rest),
            "UPSTREAM__RESULTS": f"{HOST}:{addresses.grpc[StageName.RESULTS]}",
            "UPSTREAM__INGESTION": f"{HOST}:{addresses.grpc[StageName.INGESTION]}",
        }
    kafka = kafka_settings(addresses)
    return {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA__PREFIX": kafka.prefix,
        "KAFKA__SESSION_SECONDS": str(kafka.session_seconds),
        "KAFKA__HEARTBEAT_SECONDS": str(kafka.heartbeat_seconds),
        "GRPC__PORT": str(addresses.grpc[service]),
        "METRICS__PORT": str(addresses.metrics[service]),
    }


def _profile(service: str, folder: Path) -> dict[str, str]:
    match service:
        case StageName.EXTRACTION:
            return {**_DEADLINES, "WORKER__THREADS": "1"}
        case StageName.FITTING:
            return {**_DEADLINES, "WORKER__MEMORY_MIB": "8192", "COMPILATION_CACHE": str(cache_folder())}
        case StageName.RESULTS:
            return {"DATABASE_URL": f"sqlite:///{folder / 'results.db'}"}
        case _ if service in (*STAGES, GATEWAY):
            return {}
    raise ValueError(f"there is no service {service}")
