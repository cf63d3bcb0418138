"""Why a line may be fitted badly: what is known of the atomic data, the instruments and the plasma model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coronium.physics.atomic.table import EmissivityTable

OLD_COLLISIONS = "collisions of CHIANTI 9.0.1"
FEW_LEVELS = "a model of few levels"
LEVELS_CUT = "level list cut: weaker lines up to 25 % low"
NO_RECOMBINATION = "no recombination into the triplet: (f+i)/r 4-6 % low"

ATOMIC_DATA = {
    "Fe VIII": "data of CHIANTI 7.1.4, A-values 20 % off 10.1",
    "Fe IX": "data of CHIANTI 7.1.4; 188.50 and 189.94 Å about 26 % too strong",
    "Fe XI": "levels above 371 are rough",
    "Fe XVII": "excited from the lowest five levels alone (CHIANTI 7.1.4)",
    "Ni XI": "data of CHIANTI 7.1.4, wavelengths off by up to 2 Å",
    "Ni XII": FEW_LEVELS,
    "Ni XV": FEW_LEVELS,
    "Ni XIX": FEW_LEVELS,
    "Ni XXIV": FEW_LEVELS,
    "Ar XIII": FEW_LEVELS,
    "Fe XXI": OLD_COLLISIONS,
    "Fe XXIII": OLD_COLLISIONS,
    "S XI": OLD_COLLISIONS,
    "Ar XI": OLD_COLLISIONS,
    "Ar XII": OLD_COLLISIONS,
    "Si VII": OLD_COLLISIONS,
    "Ne V": OLD_COLLISIONS,
    "Ca XV": "differs from the older CHIANTI 10.0.1 by up to 23 %; level list cut",
    "Ar XIV": LEVELS_CUT,
    "Ca XIV": LEVELS_CUT,
    "Ca XVI": LEVELS_CUT,
    "Ca XVII": LEVELS_CUT,
    "Fe XV": LEVELS_CUT,
    "Ni XVII": LEVELS_CUT,
    "S XIII": LEVELS_CUT,
    "Si XIII": NO_RECOMBINATION,
    "S XV": NO_RECOMBINATION,
}
"""By ion, from the caveats of the CHIANTI tree's README and docs/atomic-data.md."""

UNMODELLED = {
    "chandra-letg": (
        (14.19, "third order of S XVI 4.73"),
        (21.32, "third order of Mg XII 7.11"),
        (21.51, "third order of Al XIII 7.17"),
        (22.42, "third order of Mg XI 7.47"),
    ),
}
"""By instrument: wavelength in Angstrom and what no model has there (docs/instruments.md)."""
BLEND = 0.06
"""Angstrom between a line and what it is blended with."""

FLANKS = {
    "chandra-letg": "flanks: lines of one spectrum are not all shifted alike (wavelength calibration)",
    "hinode-eis": "flanks: one shift and width per window",
}
SHAPE_SHARE, SHAPE_STATISTIC = 0.5, 3.0
"""A window is off in shape where its summed counts explain less than this share of a statistic this high per bin."""
STRENGTH_RESIDUAL = 3.0
"""Sigma by which a window's summed counts must be off before a cause of wrong strength is named."""

THERMAL_DISTANCE = 0.2
"""dex between a line's temperature and an isothermal fit's beyond which other plasma makes much of the line."""


@dataclass(frozen=True)
class Fitted:
    """Temperature structure of a fit: log T (its centre), and the width of a Gaussian distribution or 0."""

    log_temperature: float
    width: float = 0.0


def reasons(
    label: str,
    wavelength: float,
    instrument: str,
    fitted: Fitted,
    table: EmissivityTable,
    residual: float,
    statistic: float,
    bins: int,
) -> list[str]:
    """What may explain a misfit, most specific first; empty where nothing known does.

    Parameters
    ----------
    label, wavelength : str, Angstrom
        Such as "Fe XVII 15.014+".
    instrument : str
    fitted : Fitted
    table : EmissivityTable
        Gives the temperature at which the line is strongest.
    residual, statistic, bins : float, float, int
        As in `LineMisfit`.
    """
    found = [what for at, what in UNMODELLED.get(instrument, ()) if abs(at - wavelength) < BLEND]
    if residual**2 < SHAPE_SHARE * statistic and statistic > SHAPE_STATISTIC * bins and instrument in FLANKS:
        found.append(FLANKS[instrument])
    if abs(residual) < STRENGTH_RESIDUAL:
        return found
    ion = " ".join(label.split()[:2])
    if ion in ATOMIC_DATA:
        found.append(f"{ion}: {ATOMIC_DATA[ion]}")
    formed = formation_temperature(table, ion, wavelength)
    if abs(formed - fitted.log_temperature) > THERMAL_DISTANCE + 2.0 * fitted.width:
        model = f"one peak of width {fitted.width:.2f}" if fitted.width else "one temperature"
        found.append(f"multithermal: formed at log T {formed:.2f}, the fit has {model} at {fitted.log_temperature:.2f}")
    return found


def formation_temperature(table: EmissivityTable, ion: str, wavelength: float, log_density: float = 9.5) -> float:
    """Return log T at which an ion's line nearest to a wavelength is strongest; NaN for an ion without lines."""
    own = np.flatnonzero(np.char.startswith(table.line_label.astype(str), f"{ion} "))
    if not len(own):
        return float("nan")
    line = own[np.argmin(np.abs(table.line_wavelength[own] - wavelength))]
    column = int(np.argmin(np.abs(table.log_density - log_density)))
    return float(table.log_temperature[np.argmax(table.line_log_emissivity[line, :, column])])
