"""`coronium demo`: real spectra in, posteriors out, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Of results.json, the pictures and the logs.")
    ] = Path("demo-output"),
) -> None:
    """Send two real data sets through the whole stream and show what comes out.

    An active region seen by Hinode/EIS as small macropixels, and 25 Chandra LETG exposures of Capella over
    twenty years, each alone and all as one cube.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from coronium.cli import output
    from coronium.cli.tables import results_table
    from coronium.operations.demo import run

    console = output.console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("posteriors", total=None)
        found = run(
            folder,
            report=output.report(bar.console),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(results_table(found.results, title="Posteriors: median and 68 % interval, or 95 % limit"))
    flagged = sum("poorly_fitted" in result.flags for result in found.results)
    console.print(f"{len(found.results)} results in {found.seconds:.0f} s; {flagged} flagged as poorly fitted.")
    console.print("Results:", str(found.results_file))
    console.print("Pictures:", *(str(path) for path in found.pictures))
