"""The hand measurement of Capella's density: the triplet, how far it depends on choices, what density it means."""

from __future__ import annotations

from dataclasses import dataclass

from coronium.evaluation.o7_data import OTHER_LINES, TripletData, coadded, templates
from coronium.evaluation.o7_density import (
    TEMPERATURE,
    TEMPERATURES,
    DensityEstimate,
    density_from_ratio,
    tabulated,
)
from coronium.evaluation.o7_triplet import Triplet, fit_triplet
from coronium.physics.atomic.table import EmissivityTable
from coronium.physics.readers.capella import read_capella_cube


@dataclass(frozen=True)
class HandMeasurement:
    """Capella's O VII triplet.

    Attributes
    ----------
    data : TripletData
    triplet : Triplet
        The measurement: both orders, other lines with free fluxes, one line-spread function.
    variants : dict of str to Triplet
        The same with other choices.
    density : DensityEstimate
        At log T 6.3.
    densities : tuple of DensityEstimate
        At log T 6.2 to 6.5, one each.
    any_temperature : DensityEstimate
        Averaged over those.
    sloped : DensityEstimate
        At log T 6.3, of the f/i that a continuum with a slope gives.
    """

    data: TripletData
    triplet: Triplet
    variants: dict[str, Triplet]
    density: DensityEstimate
    densities: tuple[DensityEstimate, ...]
    any_temperature: DensityEstimate
    sloped: DensityEstimate


def measure_capella(table: EmissivityTable) -> HandMeasurement:
    """Measure O VII f/i on the sum of Capella's 25 LETG exposures and both orders, and invert it to a density."""
    cube = read_capella_cube()
    others = templates(table)
    data = coadded(cube)
    triplet = fit_triplet(data, others)
    variants = {
        "negative order alone": fit_triplet(coadded(cube, ("letg-negative",)), others),
        "positive order alone": fit_triplet(coadded(cube, ("letg-positive",)), others),
        "a shift and width of its own for each line": fit_triplet(data, others, own_shapes=True),
        "a continuum with a slope": fit_triplet(data, others, sloped=True),
        "three lines alone, bins of other lines left out": fit_triplet(data, [], left_out=OTHER_LINES),
        "three lines alone, all bins": fit_triplet(data, []),
    }
    likelihood = tabulated(triplet)
    sloped = tabulated(variants["a continuum with a slope"])
    return HandMeasurement(
        data=data,
        triplet=triplet,
        variants=variants,
        density=density_from_ratio(likelihood, table, (TEMPERATURE,)),
        densities=tuple(density_from_ratio(likelihood, table, (t,)) for t in TEMPERATURES),
        any_temperature=density_from_ratio(likelihood, table, TEMPERATURES),
        sloped=density_from_ratio(sloped, table, (TEMPERATURE,)),
    )
