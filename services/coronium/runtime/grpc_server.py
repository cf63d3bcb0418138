"""The gRPC server of a service: TLS, limits of connections, health, reflection; `grpc_guard` looks at each call."""

import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.runtime.auth.exposure import check_exposure
from coronium.runtime.auth.gate import Gate
from coronium.runtime.errors import StartError
from coronium.runtime.grpc_guard import Guard
from coronium.runtime.logging import silence_dangling
from coronium.runtime.settings import AuthSettings, GrpcSettings

Register = Callable[[grpc.aio.Server], str]
"""Adds a servicer to a server and returns the full name of its service."""

_STOP_SECONDS = 2.0

_STRANGERS_SHARE = 4
"""One call in so many may be a stranger's: the others are for those who show a token."""

_CONNECTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 16 * 1024),
    # A client that never ends its handshake, does nothing, or is gone without a word does not hold a connection.
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # One that pings much more often than every ten seconds is cut off.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.keepalive_permit_without_calls", 1),
)


class GrpcServer:
    """Serves over gRPC on the running event loop.

    Parameters
    ----------
    settings : GrpcSettings
        Address, TLS, limits.
    auth : AuthSettings
        Who may call.
    registrations : sequence of callables
        Each adds one servicer and returns the full name of its service.

    Attributes
    ----------
    port : int
        The port that is listened on, after `start`.

    Raises
    ------
    StartError
        A certificate or the principals file cannot be used, or strangers could call and the settings forbid that.
    """

    def __init__(self, settings: GrpcSettings, auth: AuthSettings, *registrations: Register) -> None:
        check_exposure(
            settings.host,
            authenticated=bool(auth.principals_file),
            encrypted=bool(settings.certificate_file),
            required=auth.required,
            how="CORONIUM_AUTH__PRINCIPALS_FILE, CORONIUM_GRPC__CERTIFICATE_FILE and _KEY_FILE",
        )
        self._settings = settings
        self._credentials = _read_credentials(settings) if settings.certificate_file else None
        self._gate = Gate(auth, strangers=max(1, settings.max_calls // _STRANGERS_SHARE))
        silence_dangling()
        self._server = grpc.aio.server(
            interceptors=[Guard(self._gate, settings)],
            options=[
                *GRPC_CHANNEL_OPTIONS,
                *_CONNECTIONS,
                ("grpc.max_concurrent_streams", settings.max_connection_calls),
            ],
            maximum_concurrent_rpcs=settings.max_calls,
        )
        names = [register(self._server) for register in registrations]
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [*names, health.SERVICE_NAME]
        if settings.reflection == "on" or (settings.reflection == "auto" and not auth.principals_file):
            reflection.enable_server_reflection([*self._names, reflection.SERVICE_NAME], self._server)
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises `StartError` where the port is taken."""
        await self._gate.start()
        settings = self._settings
        address = f"{settings.host}:{settings.port}"
        try:
            if self._credentials is not None:
                self.port = self._server.add_secure_port(address, self._credentials)
            else:
                self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            raise StartError(f"gRPC cannot listen on {address}: the port is taken; choose another.") from None
        await self._server.start()
        await self.say(serving=True)

    async def say(self, *, serving: bool) -> None:
        """Set what the health service answers for every service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Refuse new calls and let those in flight end."""
        await self.say(serving=False)
        await self._server.stop(_STOP_SECONDS)
        await self._gate.stop()


def _read_credentials(settings: GrpcSettings) -> grpc.ServerCredentials:
    try:
        pair = (Path(settings.key_file).read_bytes(), Path(settings.certificate_file).read_bytes())
        authority = Path(settings.client_ca_file).read_bytes() if settings.client_ca_file else None
        # gRPC would take a key that does not fit for a port that is taken.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        if authority is not None:
            context.load_verify_locations(settings.client_ca_file)
    except OSError as error:
        raise StartError(
            f"a certificate of the gRPC server cannot be used ({error}): check CORONIUM_GRPC__CERTIFICATE_FILE, "
            "_KEY_FILE and _CLIENT_CA_FILE."
        ) from None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
