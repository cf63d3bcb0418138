"""Run the gateway: `python -m coronium.gateway`."""

import logging
import signal
import socket
import sys

import uvicorn

from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings
from coronium.runtime import logging as logs
from coronium.runtime.errors import EXIT_DONE, StartError

log = logging.getLogger(__name__)


def run(settings: GatewaySettings) -> int:
    """Serve until SIGTERM or SIGINT, finish the requests that were begun, and return the exit code.

    Raises
    ------
    StartError
        The port is taken.
    """
    logs.configure(settings.service, settings.replica, settings.log_level)
    listener = _listen(settings.host, settings.port)
    # uvicorn raises the signal again when it has ended, to whoever handled it before: this is not a failure.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    server = uvicorn.Server(
        uvicorn.Config(
            create_application(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.loop.grace_seconds),
        )
    )
    log.info("ready", extra={"http_port": listener.getsockname()[1]})
    with listener:
        server.run(sockets=[listener])
    log.info("stopped")
    return EXIT_DONE


def main() -> int:
    """Read the settings and run; a fault is one sentence on standard error."""
    try:
        return run(GatewaySettings.load())
    except StartError as error:
        print(f"coronium {GatewaySettings.service}: {error}", file=sys.stderr)
        return error.code


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(
            f"HTTP cannot be served on {host}:{port} ({error.strerror}): set CORONIUM_GATEWAY__HOST and _PORT."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
