"""How the application is served: address, TLS, limits of connections."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import Any

import uvicorn
from fastapi import FastAPI

from coronium.gateway.protocol import quick_protocol
from coronium.gateway.settings import GatewaySettings
from coronium.runtime.auth.exposure import check_exposure
from coronium.runtime.auth.peers import is_loopback
from coronium.runtime.errors import SettingsError, StartError

log = logging.getLogger(__name__)


def create_server(application: FastAPI, settings: GatewaySettings) -> uvicorn.Server:
    """Return the server of an application; it listens when it is run.

    Raises
    ------
    StartError
        A certificate cannot be used, or strangers could call or listen and the settings forbid that.
    """
    check_exposure(
        settings.host,
        authenticated=bool(settings.auth.principals_file),
        encrypted=bool(settings.certificate_file),
        required=settings.auth.required,
        how="CORONIUM_AUTH__PRINCIPALS_FILE, CORONIUM_GATEWAY__CERTIFICATE_FILE and _KEY_FILE",
    )
    _check_way_to_services(settings)
    config = uvicorn.Config(
        application,
        http=quick_protocol(settings.head_seconds, settings.body_seconds),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.auth.trusted_proxies),
        forwarded_allow_ips=settings.auth.trusted_proxies,
        limit_concurrency=settings.max_connections,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_graceful_shutdown=int(settings.loop.grace_seconds),
        **_tls(settings),
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"a certificate of the gateway cannot be used ({error}): check CORONIUM_GATEWAY__CERTIFICATE_FILE, "
            "_KEY_FILE and _CLIENT_CA_FILE."
        ) from None
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `StartError` where the port is taken."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(
            f"HTTP cannot be served on {host}:{port} ({error.strerror}): set CORONIUM_GATEWAY__HOST and _PORT."
        ) from None


def _tls(settings: GatewaySettings) -> dict[str, Any]:
    if not settings.certificate_file:
        return {}
    options: dict[str, Any] = {"ssl_certfile": settings.certificate_file, "ssl_keyfile": settings.key_file}
    if settings.client_ca_file:
        options |= {"ssl_ca_certs": settings.client_ca_file, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options


def _check_way_to_services(settings: GatewaySettings) -> None:
    upstream = settings.upstream
    addresses = (upstream.results, upstream.ingestion)
    open_to_others = [address for address in addresses if not is_loopback(address.rpartition(":")[0].strip("[]"))]
    if upstream.ca_file or not settings.auth.principals_file or not open_to_others:
        return
    sentence = (
        f"callers' tokens travel to {', '.join(open_to_others)} without encryption: "
        "set CORONIUM_GATEWAY__UPSTREAM__CA_FILE"
    )
    if settings.auth.required:
        raise SettingsError(f"{sentence}.")
    log.warning(sentence)
