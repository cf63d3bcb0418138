"""`coronium publish`: spectra into the stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import IngestionAddress, Json, KafkaAddress, Plasma, PlasmaModel

if TYPE_CHECKING:
    from coronium.physics.spectrum import Spectrum


def publish(
    file: Annotated[
        Path | None, typer.Argument(help="Spectra: HDF5, OGIP PHA, an EIS raster (.data.h5), CSV or ECSV.")
    ] = None,
    demo_data: Annotated[
        bool, typer.Option("--demo-data", help="The real spectra of `coronium demo`: Capella and an EIS raster.")
    ] = False,
    instrument: Annotated[str | None, typer.Option(help="Needed for PHA files and tables.")] = None,
    target: Annotated[str, typer.Option(help="Name of the target, instead of the file's own.")] = "",
    plasma: Plasma = PlasmaModel.ISOTHERMAL,
    kafka: KafkaAddress = None,
    ingestion: IngestionAddress = None,
    as_json: Json = False,
) -> None:
    """Publish spectra; prints the fingerprint of each, under which its result will appear."""
    from coronium.cli import output, settings

    spectra = _spectra(file, demo_data, instrument, target)
    with settings.connect(kafka=kafka, ingestion=ingestion) as client:
        for spectrum in spectra:
            fingerprint = client.publish(spectrum, plasma_model=plasma.value)
            if as_json:
                output.write_json({"target": spectrum.target, "name": spectrum.name, "fingerprint": fingerprint})
            else:
                print(fingerprint, spectrum.target, spectrum.name)


def _spectra(file: Path | None, demo_data: bool, instrument: str | None, target: str) -> list[Spectrum]:
    if (file is None) != demo_data:
        raise typer.BadParameter("give either a FILE or --demo-data")
    if file is None:
        from coronium.operations.demo_data import demo_spectra

        return demo_spectra()
    from coronium.physics.readers.tabular import read_spectra

    return read_spectra(file, instrument, target)
