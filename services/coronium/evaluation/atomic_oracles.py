"""Compare the emissivity table with CHIANTI's own IDL results: `python -m coronium.evaluation.atomic_oracles`.

Each function returns rows of plain numbers; the tests assert on them and the command prints them as tables.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import constants

from coronium.physics.abundances import SYMBOLS
from coronium.physics.atomic.interpolation import cubic_weights, interpolate
from coronium.physics.atomic.table import EmissivityTable, load_table
from coronium.physics.spectrum import FloatArray

CORONAL = "coronal_feldman_1992"
BANDS = (
    *((5.0, 25.0), (25.0, 60.0), (60.0, 90.0), (90.0, 165.0), (165.0, 215.0), (215.0, 245.0)),
    *((245.0, 300.0), (300.0, 400.0), (90.0, 300.0)),
)
"""Angstrom; the first and the last are those the project promises."""
MATCH = 0.02
"""Angstrom between a reference's wavelength and the table's."""
_ROMAN = {"VII": 7, "XII": 12, "XIII": 13, "XV": 15}


@dataclass(frozen=True)
class Contribution:
    """One line's G(T), table over CHIANTI IDL at n = 1e10 cm-3, where IDL is above 1 % of its peak."""

    element: int
    stage: int
    wavelength: float
    at_peak: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Ratio:
    """One density-sensitive line ratio at one log10 density: the table's and the reference's."""

    name: str
    log_density: float
    log_temperature: float
    table: float
    reference: float


@dataclass(frozen=True)
class BandFlux:
    """One band of the isothermal spectra at one temperature, n = 1e9 cm-3: line photons over the reference's."""

    band: tuple[float, float]
    log_temperature: float
    line_ratio: float
    total_ratio: float


def hydrogen_per_electron(abundance: dict[int, float]) -> float:
    """Return n_H / n_e of a corona: H and He stripped, metals down to two electrons (they are 1 % of the sum)."""
    return 1.0 / sum(value * (z if z <= 2 else z - 2) for z, value in abundance.items())


def line_emissivity(
    table: EmissivityTable, element: int, stage: int, wavelengths: Iterable[float], log_t: float, log_n: float
) -> float:
    """Return the photons cm3 s-1 of one ion's strongest lines near the given wavelengths, unit abundance."""
    ion = (table.line_element == element) & (table.line_ion == stage)
    lines = []
    for wavelength in wavelengths:
        near = np.flatnonzero(ion & (np.abs(table.line_wavelength - wavelength) < MATCH))
        if not len(near):
            raise ValueError(f"The table has no {SYMBOLS[element - 1]} {stage} line within {MATCH} A of {wavelength}.")
        lines.append(near[np.argmax(table.line_log_emissivity[near].max(axis=(1, 2)))])
    value = interpolate(table.line_log_emissivity[lines], table.log_temperature, table.log_density, log_t, log_n)
    return float(np.sum(np.exp(np.asarray(value, dtype=float))))


def contribution_functions(table: EmissivityTable, folder: Path) -> list[Contribution]:
    """Compare with G(T) computed by CHIANTI's IDL code from its own database (version 10.1 files).

    The other four reference lines (Fe IX 188.496, Fe XI 188.497, Fe XIV 197.862, Fe XVI 262.984) are transitions
    about a million times weaker than their strong neighbours; the table holds them in its pseudo-continuum only.
    """
    import asdf

    abundance = table.abundances[CORONAL]
    rows = []
    for name in ("goft_20_15_200.972_v10.1.0.asdf", "goft_26_9_171.073_v10.1.0.asdf"):
        path = folder / name
        with asdf.open(path) as file:
            tree = file.tree
            element, stage = int(tree["Z"]), int(tree["iz"])
            log_t = np.log10(tree["temperature"].to_value("K").astype(float))
            reference = tree["contribution_function"].to_value("erg cm3 s-1").astype(float)
            wavelength = tree["wavelength"].to("AA")
            log_n = float(np.log10(tree["density"].to_value("cm-3")))
        photon = (constants.h * constants.c / wavelength).to_value("erg")
        seen = (reference > 0.01 * reference.max()) & (log_t >= table.log_temperature[0] - 1e-4)
        scale = abundance[element] * photon * hydrogen_per_electron(abundance)
        ours = [scale * line_emissivity(table, element, stage, [wavelength.value], t, log_n) for t in log_t[seen]]
        ratio = np.array(ours) / reference[seen]
        at_peak = float(ratio[np.argmax(reference[seen])])
        rows.append(Contribution(element, stage, wavelength.value, at_peak, float(ratio.min()), float(ratio.max())))
    return rows


_RATIO_LINES = {
    "Fe XII 186.88/195.12": ((186.854, 186.887), (195.119,), 6.2),
    "Fe XII 196.64/195.12": ((196.640,), (195.119,), 6.2),
    "Fe XIII 203.826/202.044": ((203.826,), (202.044,), 6.25),
    "Ca XV 181.90/200.97": ((181.90,), (200.97,), 7.0),
    "Mg VII 280.73/278.39": ((280.742,), (278.404,), 5.8),
}
"""Lines above and below, and log10 of the temperature at which the reference was computed."""
_TRIPLET = {"forbidden": 22.098, "intercombination": 21.804, "resonance": 21.602}


def density_ratios(table: EmissivityTable, readme: Path) -> list[Ratio]:
    """Compare with the table of line ratios in the data sets' README."""
    text = readme.read_text()
    densities = [float(value) for value in re.search(r"At log n = ([\d./]+):", text).group(1).split("/")]  # type: ignore[union-attr]
    rows = []
    for name, (above, below, log_t) in _RATIO_LINES.items():
        row = re.search(re.escape(name) + r"((?:\s+\d+\.\d+)+)", text)
        if row is None:
            raise ValueError(f"{readme} has no row {name}.")
        symbol, roman = name.split()[:2]
        ion = SYMBOLS.index(symbol) + 1, _ROMAN[roman]
        for log_n, reference in zip(densities, row.group(1).split(), strict=True):
            # The solar references are in energy, the triplet's in photons.
            ours = sum(line_emissivity(table, *ion, [w], log_t, log_n) / w for w in above)
            ours /= sum(line_emissivity(table, *ion, [w], log_t, log_n) / w for w in below)
            rows.append(Ratio(name, log_n, log_t, ours, float(reference)))
    return rows + _oxygen_ratios(table, text)


def _oxygen_ratios(table: EmissivityTable, text: str) -> list[Ratio]:
    """Return the O VII triplet's f/i against density and (f+i)/r against temperature."""

    def flux(name: str, log_t: float, log_n: float) -> float:
        return line_emissivity(table, 8, 7, [_TRIPLET[name]], log_t, log_n)

    f_over_i = re.search(r"O VII f/i at log T ([\d.]+), log n ([\d./]+): ([\d. ]+)", text)
    g_ratio = re.search(r"O VII \(f\+i\)/r = ([\d./]+) at log T ([\d./]+)", text)
    if f_over_i is None or g_ratio is None:
        raise ValueError("The README has no O VII ratios.")
    rows = []
    log_t = float(f_over_i[1])
    for log_n, reference in zip(f_over_i[2].split("/"), f_over_i[3].split(), strict=True):
        ours = flux("forbidden", log_t, float(log_n)) / flux("intercombination", log_t, float(log_n))
        rows.append(Ratio("O VII f/i", float(log_n), log_t, ours, float(reference)))
    for reference, log_t_text in zip(g_ratio[1].split("/"), g_ratio[2].split("/"), strict=True):
        t = float(log_t_text)
        ours = (flux("forbidden", t, 9.0) + flux("intercombination", t, 9.0)) / flux("resonance", t, 9.0)
        rows.append(Ratio("O VII (f+i)/r", 9.0, t, ours, float(reference)))
    return rows


def read_isothermal(path: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read CHIANTI's isothermal spectra: wavelength [A], log10 T, photons cm3 s-1 sr-1 A-1 (T, wavelength)."""
    from scipy.io import readsav

    with tempfile.NamedTemporaryFile(suffix=".geny") as plain:
        plain.write(gzip.decompress(path.read_bytes()))
        plain.flush()
        model = readsav(plain.name)["p0"][0]
    count_w, count_t = int(model["WLENGTH"]), int(model["TLENGTH"])
    wavelength, log_t = model["WAVE"][:count_w].astype(float), np.log10(model["TEMP"][:count_t].astype(float))
    return wavelength, log_t, model["SPEC"][:count_t, :count_w].astype(float)


def isothermal_bands(table: EmissivityTable, path: Path) -> list[BandFlux]:
    """Compare line photons per band with the isothermal spectra, after taking our continuum from theirs."""
    wavelength, log_t, spectrum = read_isothermal(path)
    step = wavelength[1] - wavelength[0]
    abundance = table.abundances[CORONAL]
    line_weight = np.array([abundance[z] for z in table.line_element])
    pseudo_weight = np.array([abundance[z] for z in table.pseudo_element])
    pseudo_centre = 0.5 * (table.pseudo_edges[1:] + table.pseudo_edges[:-1])[table.pseudo_bin]
    metals = abundance[26] / table.abundances[table.continuum_abundances][26]
    rows = []
    for t in np.flatnonzero((log_t >= table.log_temperature[0] - 1e-4) & (log_t <= table.log_temperature[-1] + 1e-4)):
        nodes = table.log_temperature, table.log_density
        lines = line_weight * np.exp(np.asarray(interpolate(table.line_log_emissivity, *nodes, log_t[t], 9.0)))
        pseudo = pseudo_weight * np.exp(np.asarray(interpolate(table.pseudo_log_emissivity, *nodes, log_t[t], 9.0)))
        row, weight = cubic_weights(table.log_temperature, log_t[t])
        components = np.exp(np.log(table.continuum[:, :, int(row) : int(row) + 4]) @ np.asarray(weight))
        continuum = np.interp(wavelength, table.continuum_wavelength, components[0] + metals * components[1])
        for low, high in BANDS:
            ours = lines[(table.line_wavelength >= low) & (table.line_wavelength < high)].sum()
            ours += pseudo[(pseudo_centre >= low) & (pseudo_centre < high)].sum()
            inside = (wavelength >= low) & (wavelength < high)
            smooth = continuum[inside].sum() * step
            reference = 4.0 * np.pi * spectrum[t, inside].sum() * step
            line_ratio = ours / (reference - smooth) if reference > smooth else np.nan
            rows.append(BandFlux((low, high), float(log_t[t]), line_ratio, (ours + smooth) / reference))
    return rows


def median_by_band(rows: list[BandFlux], low: float = 6.0, high: float = 7.0) -> dict[tuple[float, float], list[float]]:
    """Return, per band, the median, least and greatest line ratio and the median total ratio in log T low..high."""
    found = {}
    for band in dict.fromkeys(row.band for row in rows):
        chosen = [r for r in rows if r.band == band and low - 1e-3 <= r.log_temperature <= high + 1e-3]
        lines = [r.line_ratio for r in chosen]
        found[band] = [np.median(lines), np.min(lines), np.max(lines), np.median([r.total_ratio for r in chosen])]
    return found


def report(table: EmissivityTable, shared: Path) -> str:
    """Return all comparisons as Markdown tables."""
    text = ["| line | table / IDL at the peak | range where G > 1 % of its peak |", "|---|---|---|"]
    for g in contribution_functions(table, shared / "data/fiasco_idl_refs"):
        name = f"{SYMBOLS[g.element - 1]} {g.stage} {g.wavelength:.3f}"
        text.append(f"| {name} | {g.at_peak:.3f} | {g.least:.3f}-{g.greatest:.3f} |")
    text += ["", "| ratio | log n | log T | table | reference | deviation |", "|---|---|---|---|---|---|"]
    for r in density_ratios(table, shared / "data/README.md"):
        text.append(
            f"| {r.name} | {r.log_density:g} | {r.log_temperature:g} | {r.table:.3f} | {r.reference:.3f} "
            f"| {100 * (r.table / r.reference - 1):+.1f} % |"
        )
    for path in sorted((shared / "data/chianti10_isothermal").glob("*CHIANTI.geny.gz")):
        rows = isothermal_bands(table, path)
        text += ["", "| band [A] | median line ratio, log T 6-7 | least | greatest | median of line + continuum |"]
        text.append("|---|---|---|---|---|")
        for (low, high), (median, least, greatest, total) in median_by_band(rows).items():
            text.append(f"| {low:g}-{high:g} | {median:.3f} | {least:.3f} | {greatest:.3f} | {total:.3f} |")
        text += ["", "| log T | " + " | ".join(f"{low:g}-{high:g}" for low, high in BANDS) + " |"]
        text.append("|---" * (len(BANDS) + 1) + "|")
        for log_t in dict.fromkeys(row.log_temperature for row in rows):
            values = [f"{row.line_ratio:.3f}" for row in rows if row.log_temperature == log_t]
            text.append(f"| {log_t:.2f} | " + " | ".join(values) + " |")
    return "\n".join(text)


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the original data sets")
    parser.add_argument("--table", type=Path, help="an emissivity table; default is the shipped one")
    arguments = parser.parse_args()
    print(report(load_table(arguments.table), arguments.shared))


if __name__ == "__main__":
    main()
