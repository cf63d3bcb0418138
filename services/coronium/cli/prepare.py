"""`coronium prepare`: compile the samplers for this machine, once."""

from __future__ import annotations

from typing import Annotated

import typer


def prepare(
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="instrument[:plasma[:exposures]], separated by commas; without it what `coronium demo` fits.",
        ),
    ] = None,
) -> None:
    """Compile the samplers that `coronium up`, `coronium demo` and `coronium fit` would compile at their first use.

    They are kept in $XDG_CACHE_HOME/coronium (~/.cache/coronium) and found again while software, settings and machine
    stay as they are.
    """
    import time

    from rich.console import Console

    from coronium.compute import cache_folder
    from coronium.fitting.settings import FittingSettings, warm_kinds
    from coronium.fitting.stage import FittingStage
    from coronium.fitting.worker import create
    from coronium.operations.demo import SETTINGS

    wanted = SETTINGS["fitting"]["WARM_INSTRUMENTS"] if kinds is None else kinds
    try:
        named = warm_kinds(wanted)
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint="--kinds") from None
    if not named:
        raise typer.BadParameter("no kind of spectrum is named", param_hint="--kinds")
    console = Console()
    for instrument, plasma, exposures in named:
        kind = f"{instrument}:{plasma}:{exposures}"
        settings = FittingSettings.load(warm_instruments=kind)
        settings.compilation_cache = settings.compilation_cache or cache_folder()
        began = time.monotonic()
        with console.status(f"compiling the sampler for {kind}"):
            create(FittingStage(settings).worker_settings).warm()
        console.print(f"sampler for {kind}: {time.monotonic() - began:.0f} s")
