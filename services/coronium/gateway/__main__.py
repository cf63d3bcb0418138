"""Run the gateway: `python -m coronium.gateway`."""

import sys

import uvicorn

from coronium.gateway.application import create_application
from coronium.gateway.settings import GatewaySettings
from coronium.runtime import logging
from coronium.runtime.errors import StartError


def main() -> int:
    """Serve until SIGTERM or SIGINT; requests that were begun are finished."""
    try:
        settings = GatewaySettings.load()
        logging.configure(settings.service, settings.replica, settings.log_level)
        uvicorn.run(
            create_application(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.loop.grace_seconds),
        )
    except StartError as error:
        print(f"coronium: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
