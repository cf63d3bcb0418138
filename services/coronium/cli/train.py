"""`coronium train`: the network of one instrument, on simulated spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    instrument: Annotated[str, typer.Option(help="`coronium instruments list` names them.")] = "hinode-eis",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the weights go; default: where the package reads them.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=100, help="Simulated spectra; a fifth is held out.")] = 10_000,
    epochs: Annotated[int, typer.Option(min=1, help="Most passes over the training set.")] = 20,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keeps the simulated spectra, to train again from them.")
    ] = None,
) -> None:
    """Train the network of an instrument; writes weights and training record."""
    from coronium.network.files import SHIPPED
    from coronium.network.training import train

    print(train(instrument, output or SHIPPED, n, epochs, seed, device, cache))
