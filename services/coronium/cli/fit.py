"""`coronium fit`: posteriors of the spectra in a file, without any service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Json, Plasma, PlasmaModel, Seed

if TYPE_CHECKING:
    from coronium.client.result import Result
    from coronium.fit import FitResult


class Engine(StrEnum):
    """How far up the ladder of inference to go."""

    NUTS = "nuts"
    MODE = "mode"


def fit(
    file: Annotated[Path, typer.Argument(help="Spectra: HDF5, OGIP PHA, an EIS raster (.data.h5), CSV or ECSV.")],
    plasma: Plasma = PlasmaModel.ISOTHERMAL,
    engine: Annotated[
        Engine, typer.Option(help="nuts: the posterior; mode: Gaussian approximation, for triage.")
    ] = Engine.NUTS,
    instrument: Annotated[str | None, typer.Option(help="Needed for PHA files and tables.")] = None,
    target: Annotated[str, typer.Option(help="Name of the target, instead of the file's own.")] = "",
    first: Annotated[int | None, typer.Option(min=1, help="Fit the first so many spectra of the file alone.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw data, predictive band and residuals of each spectrum.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit spectra on this machine: the same physics and sampler as the stream."""
    from coronium.compute import cache_folder, use

    use(cache=cache_folder())
    from rich.progress import Progress

    from coronium.cli import output
    from coronium.cli.tables import lines_table, parameters_table, results_table
    from coronium.physics.readers.tabular import read_spectra

    spectra = read_spectra(file, instrument, target)[:first]

    from coronium.fit import fit_spectra

    with Progress(console=output.messages(), transient=True) as bar:
        task = bar.add_task("fitting", total=len(spectra))
        fitted = fit_spectra(
            spectra,
            plasma=plasma.value,
            engine=engine.value,
            seed=seed,
            progress=lambda done: bar.update(task, advance=done),
        )
    found = [as_result(one) for one in fitted]
    if plot is not None:
        from coronium.pictures import spectrum_picture

        plot.mkdir(parents=True, exist_ok=True)
        for number, result in enumerate(found):
            spectrum_picture(result, result.observation, plot / f"spectrum-{number:04d}.png")
    if as_json:
        for result in found:
            output.write_json(result.to_dict())
        return
    console = output.console()
    console.print(results_table(found))
    if len(found) == 1:
        console.print(
            f"flags: {', '.join(found[0].flags) or 'none'}", parameters_table(found[0]), lines_table(found[0])
        )


def as_result(fitted: FitResult) -> Result:
    """Return a fit in the form in which the stream would have answered."""
    from coronium.client.reading import read_result
    from coronium.contract.conversion import spectrum_to_message
    from coronium.contract.identity import fingerprint
    from coronium.contract.plasma import plasma_number
    from coronium.fitting.messages import posterior_message
    from coronium.v1 import features_pb2, spectrum_pb2

    spectrum = spectrum_to_message(fitted.spectrum)
    spectrum.plasma_model = plasma_number(fitted.plasma.value)
    observation = spectrum_pb2.Observation(spectrum=spectrum, fingerprint=fingerprint(spectrum))
    return read_result(posterior_message(fitted, features_pb2.Features(observation=observation)), observation)
