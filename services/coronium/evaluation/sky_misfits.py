"""What the fits of the cube and of the brightest macropixel miss, line by line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coronium.evaluation.line_misfits import LineMisfit, Prediction, worst_lines
from coronium.evaluation.misfit_reasons import Fitted
from coronium.evaluation.sky_results import Record
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.spectrum import Spectrum


@dataclass(frozen=True)
class Misfits:
    """How well one result describes its spectrum.

    Attributes
    ----------
    title : str
    record : Record
    lines : list of LineMisfit
        The worst ones, worst first.
    identified : int
        Lines that were judged.
    refitted : bool
        The results carried no prediction, so that the spectrum was fitted again for it.
    """

    title: str
    record: Record
    lines: list[LineMisfit]
    identified: int
    refitted: bool


def misfits(title: str, record: Record, spectrum: Spectrum, table: EmissivityTable) -> Misfits:
    """Rank the identified lines of a result by how badly they are fitted.

    The prediction is the result's own where it was written with its arrays; else the spectrum is fitted anew, as far as
    the modes: the mean of what a posterior predicts needs no sampler.

    Parameters
    ----------
    title : str
        What a reader calls it.
    record : Record
    spectrum : Spectrum
        The data of that result.
    table : EmissivityTable
    """
    bands = record.get("predictive")
    lines = [(line["label"], line["wavelength"]) for line in record["lines"] if line["identified"]]
    if bands:
        predictions = {
            name: Prediction(np.array(band["median"], float), int(band["rebinned"])) for name, band in bands.items()
        }
    else:
        predictions, lines = _refitted(record, spectrum, table)
    parameters = record["parameters"]
    fitted = Fitted(
        log_temperature=parameters["log_temperature"]["median"],
        width=parameters["dem_width"]["median"] if "dem_width" in parameters else 0.0,
    )
    found = worst_lines(spectrum, predictions, lines, fitted, table)
    return Misfits(title, record, found, len(lines), refitted=not bands)


def _refitted(
    record: Record, spectrum: Spectrum, table: EmissivityTable
) -> tuple[dict[str, Prediction], list[tuple[str, float]]]:
    from coronium.fit import Fitter, Plasma, Rung

    plasma = Plasma(record["plasma_model"].replace("_", "-"))
    result = Fitter(table=table, batch=1).fit([spectrum], plasma, Rung.MODE)[0]
    predictions = {band.name: Prediction(band.median.astype(float), band.rebinned) for band in result.predictive}
    return predictions, [(line.label, line.wavelength) for line in result.lines if line.identified]
