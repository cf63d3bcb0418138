"""What a demonstration's posteriors say of the sky beside what plain methods say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coronium.evaluation.o7_capella import HandMeasurement
from coronium.evaluation.o7_density import TEMPERATURE, TEMPERATURES, ratio_of
from coronium.evaluation.sky_results import Record, SkyResults, interval95, misfit, temperature_of
from coronium.evaluation.table_ratios import line_photons
from coronium.inference.answer import POOR_FIT
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.readers.fe12 import fe12_ratio_density
from coronium.physics.spectrum import FloatArray, Spectrum

CAPELLA_TEMPERATURE, TEMPERATURE_TOLERANCE = 6.7, 0.2
"""log T where Capella's emission measure peaks (5 MK: Yu et al. 2024, arXiv:2404.10427)."""
DENSITY_TOLERANCE = 0.3
FE12_TEMPERATURE = 6.2
"""log T where Fe XII shines most."""

FE_XII = 26, 12


@dataclass(frozen=True)
class Check:
    """One promise: what, wanted, measured, and whether it holds; None where nothing could be judged."""

    what: str
    wanted: str
    measured: str
    holds: bool | None


def density_checks(cube: Record, hand: HandMeasurement, table: EmissivityTable) -> list[Check]:
    """Compare the cube's log n with the hand-measured f/i, both as densities and as f/i."""
    density = cube["parameters"]["log_density"]
    low, high = interval95(density)
    stated = f"{_range(low, high)} ({density['constraint'].replace('_', ' ')})"
    measured = hand.density
    value = measured.median if measured.measured else measured.upper_limit
    inside = low <= value <= high if measured.measured else low <= value
    checks = [
        Check(
            f"log n of the hand-measured O VII f/i (table at log T {TEMPERATURE})",
            f"in the cube's 95 % interval, {stated}",
            str(measured),
            bool(inside),
        )
    ]
    spread = [
        estimate.median if estimate.measured else estimate.upper_limit for estimate in (*hand.densities, hand.sloped)
    ]
    checks.append(
        Check(
            f"the same, table at log T {TEMPERATURES[0]} to {TEMPERATURES[-1]}, or a continuum with a slope",
            "the same",
            f"{min(spread):.2f} to {max(spread):.2f}",
            all(low <= v <= high for v in spread),
        )
    )
    implied = ratio_of(table, TEMPERATURE, np.clip([high, low], table.log_density[0], table.log_density[-1]))
    triplet = hand.triplet
    checks.append(
        Check(
            "hand-measured O VII f/i",
            f"in what the cube's 95 % interval implies, {implied[0]:.2f} to {implied[1]:.2f}",
            f"{triplet.f_over_i:.2f} ± {triplet.error:.2f}",
            bool(implied[0] <= triplet.f_over_i <= implied[1]),
        )
    )
    draws = cube.get("draws")
    if draws:
        ratios = ratio_of(table, np.array(draws["log_temperature"]), np.array(draws["log_density"]))
        own = np.quantile(ratios, [0.025, 0.975])
        checks.append(
            Check(
                "the same, with the table at the temperature of every draw",
                f"{own[0]:.2f} to {own[1]:.2f}",
                f"{triplet.f_over_i:.2f} ± {triplet.error:.2f}",
                bool(own[0] <= triplet.f_over_i <= own[1]),
            )
        )
    return checks


def temperature_checks(results: SkyResults) -> list[Check]:
    """Compare emission-weighted log T of the cube and of every exposure with Capella's 6.7."""
    wanted = f"{CAPELLA_TEMPERATURE} ± {TEMPERATURE_TOLERANCE}"
    cube = temperature_of(results.cube)
    low, high = interval95(cube)
    # Rounded as printed, so that 6.90 does not miss by float's rounding.
    off = np.round([abs(temperature_of(r)["median"] - CAPELLA_TEMPERATURE) for r in results.exposures], 2)
    medians = [temperature_of(record)["median"] for record in results.exposures]
    checks = [
        Check(
            f"Capella's emission-weighted log T, {results.cube['plasma_model'].replace('_', ' ')}, all exposures",
            wanted,
            f"{cube['median']:.3f} (95 %: {_range(low, high, 3)})",
            bool(np.round(abs(cube["median"] - CAPELLA_TEMPERATURE), 2) <= TEMPERATURE_TOLERANCE),
        )
    ]
    if medians:
        inside = int((off <= TEMPERATURE_TOLERANCE).sum())
        checks.append(
            Check(
                f"the same, {len(medians)} exposures one by one",
                wanted,
                f"{min(medians):.2f} to {max(medians):.2f}; {inside} of {len(medians)} within",
                inside == len(medians),
            )
        )
    return checks


def fe12_densities(
    spectra: Sequence[Spectrum], table: EmissivityTable, log_temperature: float = FE12_TEMPERATURE
) -> FloatArray:
    """Log n that the plain Fe XII 186.88/192.39 ratio means, (S,) log10 cm-3; NaN where it was not measured.

    Parameters
    ----------
    spectra : S macropixels of `hinode-eis`
    table : EmissivityTable
    log_temperature : float
        Where the table's ratio (of energies) is taken.
    """
    grid = np.linspace(8.0, 12.0, 161)

    def energy(wavelength: float) -> FloatArray:
        return line_photons(table, FE_XII, wavelength, log_temperature, grid) / wavelength

    curve = (energy(186.854) + energy(186.887)) / energy(192.394)
    ratios = np.array([fe12_ratio_density(spectrum).ratio for spectrum in spectra])
    return np.interp(ratios, curve, grid, left=np.nan, right=np.nan)


def raster_checks(raster: Sequence[Record], spectra: Sequence[Spectrum], table: EmissivityTable) -> list[Check]:
    """Compare the raster's median log n with the median of the plain Fe XII ratio on the same macropixels."""
    measured = {
        record["target"]: record["parameters"]["log_density"]["median"]
        for record in raster
        if record["parameters"]["log_density"]["constraint"] == "measured"
    }
    own = [spectrum for spectrum in spectra if spectrum.target in measured]
    plain = fe12_densities(own, table)
    pairs = [(measured[s.target], p) for s, p in zip(own, plain, strict=True) if np.isfinite(p)]
    what = f"the raster's median log n, {len(pairs)} of {len(raster)} macropixels with a measured density"
    if not pairs:
        return [Check(what, f"within {DENSITY_TOLERANCE} of the Fe XII ratio's", "none measured", None)]
    posterior, ratio = np.median(np.array(pairs), axis=0)
    apart = np.subtract(*np.array(pairs).T)
    return [
        Check(
            what,
            f"within {DENSITY_TOLERANCE} of the Fe XII ratio's {ratio:.2f}",
            f"{posterior:.2f} ({posterior - ratio:+.2f}; one by one {np.median(apart):+.2f} ± {np.std(apart):.2f})",
            bool(round(abs(posterior - ratio), 2) <= DENSITY_TOLERANCE),
        )
    ]


def flag_check(results: SkyResults) -> Check:
    """Whether every result whose statistic is far from what its posterior expects is flagged."""
    records = [results.cube, *results.exposures, *results.raster]
    bad = [record for record in records if misfit(record) > POOR_FIT]
    flagged = [record for record in bad if "poorly_fitted" in record["flags"]]
    return Check(
        f"results whose statistic is more than {POOR_FIT:g} sd from its expectation",
        "all flagged `poorly_fitted`",
        f"{len(flagged)} of {len(bad)} flagged, of {len(records)} results",
        len(flagged) == len(bad),
    )


def _range(low: float, high: float, digits: int = 2) -> str:
    if not np.isfinite(low):
        return f"below {high:.{digits}f}"
    return f"above {low:.{digits}f}" if not np.isfinite(high) else f"{low:.{digits}f} to {high:.{digits}f}"
