"""`coronium evaluate`: the tables and pictures that say how far Coronium can be believed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from coronium.cli.options import PlasmaModel, Seed

app = typer.Typer(no_args_is_help=True, help="Tables and pictures that say how far the answers can be believed.")


class Box(StrEnum):
    """Where temperature and density are drawn from, and the prior of the fit."""

    DEFAULT = "default"
    MISSION = "mission"


@app.command()
def coverage(
    output: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="One line a spectrum; a run goes on where it ends.")
    ],
    instrument: Annotated[str, typer.Option(help="`coronium instruments list` names them.")] = "hinode-eis",
    n: Annotated[int, typer.Option("--n", min=1, help="Number of simulated spectra.")] = 500,
    plasma: Annotated[PlasmaModel, typer.Option(help="Temperature structure.")] = PlasmaModel.ISOTHERMAL,
    box: Annotated[Box, typer.Option(help="mission: T 1-10 MK, n 1e9-1e11.")] = Box.DEFAULT,
    minutes: Annotated[float, typer.Option(min=0, help="Stop after this time; 0: run to the end.")] = 0,
    devices: Annotated[int, typer.Option(min=0, help="CPU devices that share a batch; 0: one per core.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Spectra fitted between two additions to the file.")] = 64,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps compiled programs between runs.")] = None,
    seed: Seed = 1,
) -> None:
    """Fit simulated spectra drawn from the fit's own prior and note whether the intervals hold the truth."""
    from coronium.compute import use

    use(devices, cache)
    from rich.progress import Progress

    from coronium.cli.output import messages
    from coronium.evaluation.coverage import OtherRun, run
    from coronium.fit import Plasma

    with Progress(console=messages(), transient=True) as bar:
        task = bar.add_task(f"fitting {instrument}", total=n)
        try:
            rows = run(
                output,
                instrument,
                n,
                Plasma(plasma.value),
                box.value,
                seed,
                minutes or float("inf"),
                batch,
                lambda done: bar.update(task, completed=done),
            )
        except OtherRun as other:
            raise typer.BadParameter(str(other), param_hint="--output") from None
    print(f"{output}: {len(rows)} of {n} spectra")


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="Files written by `coronium evaluate coverage`.")],
    output: Annotated[Path, typer.Option(metavar="FILE.md", help="Where the tables go.")] = Path("docs/coverage.md"),
    picture: Annotated[Path, typer.Option(metavar="FILE.png", help="Where the rank histograms go.")] = Path(
        "docs/pictures/coverage.png"
    ),
) -> None:
    """Write the coverage table and its picture."""
    from coronium.evaluation.coverage import read_rows
    from coronium.evaluation.coverage_report import document, rank_histograms

    for file in files:
        if not file.exists():
            raise typer.BadParameter(f"{file} does not exist", param_hint="FILES")
    rows = [row for file in files for row in read_rows(file)]
    rank_histograms(rows, picture)
    output.write_text(document(rows, picture, output))
    print(f"{output}: {len(rows)} spectra; {picture}")


@app.command()
def knowability(
    pictures: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the two pictures go.")] = Path(
        "docs/pictures"
    ),
    output: Annotated[Path, typer.Option(metavar="FILE.md", help="Where the page goes.")] = Path("docs/knowability.md"),
) -> None:
    """Say before observing whether density can be had with a preset, over (T, n, S/N)."""
    from coronium.compute import use

    use(1)
    from coronium.evaluation.knowability_report import write

    for file in write(pictures, output):
        print(file)


@app.command("line-profile")
def line_profile(
    exposures: Annotated[int, typer.Option(min=1, max=25, help="Observations of Capella, each fitted alone.")] = 3,
    cube: Annotated[bool, typer.Option("--cube", help="Also all 25 exposures as one spectrum.")] = False,
    output: Annotated[Path, typer.Option(metavar="FILE.md", help="Where the table goes.")] = Path(
        "docs/tables/line-profile.md"
    ),
    devices: Annotated[int, typer.Option(min=0, help="CPU devices that share a batch; 0: one per core.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps compiled programs between runs.")] = None,
) -> None:
    """Fit Capella with a Gaussian line profile and with wings, and say which the evidence prefers."""
    from coronium.compute import use

    use(devices, cache)
    from rich.progress import Progress

    from coronium.cli.output import messages
    from coronium.evaluation.line_profile import verdict, write

    command = f"coronium evaluate line-profile --exposures {exposures}{' --cube' if cube else ''}"
    with Progress(console=messages(), transient=True) as bar:
        task = bar.add_task("fitting", total=2 * (exposures + cube))
        found = write(output, exposures, cube, command, lambda done: bar.update(task, advance=done))
    print(verdict(found))
    print(output)


@app.command()
def sky(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="Written by `coronium demo`.")],
    output: Annotated[Path, typer.Option(metavar="FILE.md", help="Where the page goes.")] = Path("docs/sky.md"),
    picture: Annotated[Path, typer.Option(metavar="FILE.png", help="Where the O VII triplet goes.")] = Path(
        "docs/pictures/capella-o7.png"
    ),
) -> None:
    """Compare posteriors of real spectra with plain methods, and name what fits badly."""
    from coronium.compute import use

    use(1)
    from coronium.evaluation.sky_page import write_page
    from coronium.evaluation.sky_results import SkyError

    try:
        checks = write_page(results, output, picture)
    except SkyError as error:
        raise typer.BadParameter(str(error), param_hint="RESULTS.json") from None
    missing = [check.what for check in checks if check.holds is False]
    print(f"{output}: {len(checks) - len(missing)} of {len(checks)} checks hold; {picture}")
    for what in missing:
        print(f"misses: {what}")
