"""Run the gateway: `python -m coronium.gateway`."""

import logging
import signal
import sys

from coronium.gateway.application import create_application
from coronium.gateway.server import create_server, listen
from coronium.gateway.settings import GatewaySettings
from coronium.runtime import logging as logs
from coronium.runtime.errors import EXIT_DONE, StartError

log = logging.getLogger(__name__)


def run(settings: GatewaySettings) -> int:
    """Serve until SIGTERM or SIGINT, finish the requests that were begun, and return the exit code.

    Raises
    ------
    StartError
        The port is taken, a certificate cannot be used, or the settings forbid to be as open as this.
    """
    logs.configure(settings.service, settings.replica, settings.log_level)
    server = create_server(create_application(settings), settings)
    listener = listen(settings.host, settings.port)
    # uvicorn raises the signal again when it has ended, to whoever handled it before: this is not a failure.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
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


if __name__ == "__main__":
    sys.exit(main())
