"""`coronium up`: the whole stream on this machine until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Of the logs and the results database.")] = Path(
        "coronium-data"
    ),
    port_offset: Annotated[int, typer.Option(min=0, max=15000, help="Moves all ports.")] = 0,
) -> None:
    """Start an embedded broker and every service, print all addresses, and stop cleanly on Ctrl-C."""
    import signal

    from rich.table import Table

    from coronium.cli import output
    from coronium.operations.addresses import Addresses
    from coronium.operations.stack import Stack

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    console = output.console()
    addresses = Addresses.usual(port_offset)
    with Stack(folder, addresses, output.report(console)) as stack:
        try:
            console.print("Starting the embedded broker and all services; compiling the model takes a while.")
            stack.start()
            table = Table(show_header=False, box=None)
            for name, address in addresses.urls():
                table.add_row(name, address)
            console.print(table)
            console.print(f"Logs: {stack.logs}   Results: {stack.folder / 'results.db'}")
            console.print("Publish: coronium publish --demo-data --plasma gaussian-dem   Stop: Ctrl-C", highlight=False)
            if port_offset:
                console.print(f"For the commands: {_exports(addresses)}")
            stack.supervise()
        except KeyboardInterrupt:
            console.print("Stopping: what was begun is finished first. Ctrl-C again ends everything at once.")


def _exports(addresses: object) -> str:
    from coronium.operations.addresses import HOST, Addresses

    assert isinstance(addresses, Addresses)
    return (
        f"export CORONIUM_CLIENT__RESULTS_ADDRESS={HOST}:{addresses.grpc['results']} "
        f"CORONIUM_CLIENT__KAFKA__BOOTSTRAP_SERVERS={HOST}:{addresses.kafka}"
    )
