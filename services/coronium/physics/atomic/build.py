"""Read CHIANTI through fiasco and write the emissivity table; the only module that imports fiasco.

Level populations are solved once per ion and cached, because that takes most of an hour; selection and
packing take minutes and can be repeated.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import fiasco
import numpy as np
from fiasco.util import build_hdf5_dbase
from fiasco.util.exceptions import MissingDatasetException
from rich.progress import track

from coronium.physics.atomic import assembly
from coronium.physics.atomic.assembly import (
    LOG_DENSITY,
    LOG_TEMPERATURE,
    SOLVED_LOG_TEMPERATURE,
    WAVELENGTH_RANGE,
    IonLines,
)
from coronium.physics.atomic.table import SHIPPED, AtomicDataError, EmissivityTable, save_table
from coronium.physics.spectrum import FloatArray

ABUNDANCE_SETS = {
    "photospheric_asplund_2009": "sun_photospheric_2009_asplund",
    "coronal_feldman_1992": "sun_coronal_1992_feldman_ext",
}
SELECTION_ABUNDANCES = "coronal_feldman_1992"
CONTINUUM_ABUNDANCES = "photospheric_asplund_2009"
CONTINUUM_WAVELENGTH = np.geomspace(*WAVELENGTH_RANGE, 800)
CONTINUUM_LOG_DENSITY = 9.0
"""Only two-photon emission depends on it, above 1e10 cm-3 or so."""
CONTINUUM_FLOOR = 1e-30
"""Photons cm3 s-1 A-1; keeps the logarithm finite."""
FULL_SPHERE = 4.0 * np.pi
"""fiasco 0.6.2's free-free emission is per steradian (compare Rybicki & Lightman 1979, eq. 5.14a); its free-bound
and two-photon emission is not."""
LEAST_ION_FRACTION = 1e-7
"""An ion that never holds this share of its element on the grid emits nothing that could be seen."""
POPULATION_FLOOR = 1e-60
HELIUM_LIKE_PAIRS = (6, 7, 8, 10, 12)
"""Elements whose He-like ion is solved together with the H-like one: recombination feeds the triplet."""
LITHIUM_LIKE_PAIRS = (8,)
"""Elements whose Li-like ion is solved with the He-like one: dielectronic satellites beside the triplet."""
PAIR_LOG_DENSITY = np.array([7.0, 9.0, 11.0, 13.0])
"""Where Li-like pairs are solved (1500 levels); their ratio to the single ion hardly depends on density."""
SOLVER_MEMORY = 2e9
"""Bytes; sets how many temperatures are solved at once (fiasco holds about ten matrices for each)."""
CITATION = (
    "CHIANTI: Dere et al. 1997, A&AS 125, 149, doi:10.1051/aas:1997368; "
    "Del Zanna, Dere, Young & Landi 2021, ApJ 909, 38, doi:10.3847/1538-4357/abd8ce; "
    "read with fiasco: Barnes & Dere 2017, doi:10.25080/shinma-7f4c6e7-016"
)

logging.getLogger("fiasco").setLevel(logging.ERROR)


@lru_cache(maxsize=1)
def _proton_electron_ratio(hdf5: str) -> tuple[FloatArray, FloatArray]:
    """Return temperature [K] and n_p / n_e on CHIANTI's ionisation grid, which takes 18 s."""
    temperature = 10 ** np.arange(4.0, 9.001, 0.05)
    ratio = fiasco.proton_electron_ratio(temperature * u.K, hdf5_dbase_root=hdf5)
    return temperature, ratio.to_value(u.dimensionless_unscaled)


class IonPair(fiasco.Ion):
    """A CHIANTI ion coupled to the next one by recombination and dielectronic capture (CHIANTI 9 on)."""

    two_ion_model = True

    @cached_property
    def proton_electron_ratio(self) -> u.Quantity:
        """n_p / n_e at the ion's temperatures."""
        grid, ratio = _proton_electron_ratio(str(self.hdf5_dbase_root))
        return u.Quantity(np.interp(self.temperature.to_value("K"), grid, ratio))


class SingleIon(IonPair):
    """A CHIANTI ion on its own: levels above the ionisation limit autoionise, nothing captures.

    Without that loss the inner-shell lines of Li-like ions, which stand beside the He-like triplets, would
    come out with a fluorescence yield of one.
    """

    two_ion_model = False

    @cached_property
    def _rate_matrix_radiative_decay(self) -> u.Quantity:
        transitions = self.transitions
        rates = np.zeros((self.n_levels, self.n_levels))
        np.add.at(rates, (transitions.lower_level - 1, transitions.upper_level - 1), transitions.A.to_value("s-1"))
        if self._has_dataset("auto"):
            upper = self._auto["upper_level"]
            known = upper <= self.n_levels
            np.add.at(rates[0], upper[known] - 1, self._auto["autoionization_rate"][known].to_value("s-1"))
        return u.Quantity(rates, "s-1")


def log_populations(
    model: type[IonPair], name: str, hdf5: Path, log_temperature: FloatArray, log_density: FloatArray
) -> FloatArray:
    """Solve an ion's level populations: ln(N_j / n_e) [cm3], (level, temperature, density)."""
    density = 10.0**log_density
    probe = model(name, 1e6 * u.K, hdf5_dbase_root=str(hdf5))
    levels = probe.n_levels + (probe.next_ion().n_levels if model.two_ion_model else 0)
    block = max(1, int(SOLVER_MEMORY / (10 * 8 * levels**2)))
    blocks = []
    for start in range(0, len(log_temperature), block):
        temperature = 10 ** log_temperature[start : start + block] * u.K
        ion = model(name, temperature, hdf5_dbase_root=str(hdf5))
        with np.errstate(all="ignore"):
            solved = ion.level_populations(density * u.cm**-3, use_two_ion_model=model.two_ion_model).value
        blocks.append(np.nan_to_num(solved / density[:, None]))
    return np.log(np.maximum(np.concatenate(blocks), POPULATION_FLOOR)).transpose(2, 0, 1)


def _is_pair(element: int, stage: int) -> bool:
    """Say whether an ion is solved together with the next one."""
    electrons = element - stage + 1
    return (electrons == 2 and element in HELIUM_LIKE_PAIRS) or (electrons == 3 and element in LITHIUM_LIKE_PAIRS)


def _best_populations(ion: fiasco.Ion, hdf5: Path) -> FloatArray:
    """Solve an ion on the grid with the model that suits it."""
    coupled = _is_pair(ion.atomic_number, ion.ionization_stage)
    helium_like = ion.atomic_number - ion.charge_state == 2
    if coupled and helium_like:
        return log_populations(IonPair, ion.ion_name, hdf5, SOLVED_LOG_TEMPERATURE, LOG_DENSITY)
    single = log_populations(SingleIon, ion.ion_name, hdf5, SOLVED_LOG_TEMPERATURE, LOG_DENSITY)
    if coupled:
        pair = log_populations(IonPair, ion.ion_name, hdf5, SOLVED_LOG_TEMPERATURE, PAIR_LOG_DENSITY)
        single = extend_density(single, pair)
    return single


def extend_density(single: FloatArray, pair: FloatArray) -> FloatArray:
    """Carry log populations of a pair, (U, S, 4) at `PAIR_LOG_DENSITY`, to all densities.

    Where the single ion (U, S, N) is alike, its density dependence is kept and the ratio interpolated; where
    capture feeds the level, N_j / n_e hardly depends on density and is interpolated itself.
    """
    column = np.interp(LOG_DENSITY, PAIR_LOG_DENSITY, np.arange(len(PAIR_LOG_DENSITY)))
    left = np.minimum(column.astype(int), len(PAIR_LOG_DENSITY) - 2)

    def between(values: FloatArray) -> FloatArray:
        return values[..., left] + (column - left) * (values[..., left + 1] - values[..., left])

    ratio = pair - single[..., np.isin(LOG_DENSITY, PAIR_LOG_DENSITY)]
    alike = np.abs(ratio).max(axis=(1, 2), keepdims=True) < 1.0
    return np.where(alike, single + between(ratio), between(pair))


def solve_ion(name: str, hdf5: Path) -> IonLines | None:
    """Solve one ion on the grid; None if it has no level model, no line in range, or is never there."""
    ion = SingleIon(name, 10**LOG_TEMPERATURE * u.K, hdf5_dbase_root=str(hdf5))
    try:
        fraction = np.nan_to_num(ion.ionization_fraction.value)
        transitions = ion.transitions
        wavelength, rate = transitions.wavelength.to_value("AA"), transitions.A.to_value("s-1")
    except MissingDatasetException:
        return None
    inside = (wavelength >= WAVELENGTH_RANGE[0]) & (wavelength < WAVELENGTH_RANGE[1]) & (rate > 0)
    if not ion._has_dataset("scups") or fraction.max() < LEAST_ION_FRACTION or not inside.any():
        return None
    upper = np.asarray(transitions.upper_level)[inside]
    level = np.unique(upper)
    return IonLines(
        element=ion.atomic_number,
        stage=ion.ionization_stage,
        ion_fraction=fraction,
        wavelength=wavelength[inside],
        theoretical=~np.asarray(transitions.is_observed)[inside],
        upper=upper,
        decay_rate=rate[inside],
        level=level,
        log_population=_best_populations(ion, hdf5)[level - 1].astype(np.float32),
    )


def _cached_ion(name: str, hdf5: Path, cache: Path) -> IonLines | None:
    """Return a solved ion from the cache, solving it first if need be; an empty file says "nothing"."""
    path = cache / f"{name.lower().replace(' ', '_')}.npz"
    if not path.exists():
        ion = solve_ion(name, hdf5)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **(asdict(ion) if ion else {}))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as file:
        if not file.files:
            return None
        fields = {field: file[field] for field in file.files}
    return IonLines(**{**fields, "element": int(fields["element"]), "stage": int(fields["stage"])})


def read_abundances(hdf5: Path) -> dict[str, dict[int, float]]:
    """Return n_el / n_H by set and atomic number."""
    sets: dict[str, dict[int, float]] = {name: {} for name in ABUNDANCE_SETS}
    for symbol in fiasco.list_elements(str(hdf5)):
        for name, dataset in ABUNDANCE_SETS.items():
            ion = fiasco.Ion(f"{symbol} 1", 1e6 * u.K, hdf5_dbase_root=str(hdf5), abundance=dataset)
            try:
                sets[name][ion.atomic_number] = float(ion.abundance)
            except MissingDatasetException:
                continue
    return sets


def continuum(hdf5: Path, names: Sequence[str], abundance: dict[int, float]) -> FloatArray:
    """Return (2, W, T) continuum, photons cm3 s-1 A-1: of hydrogen and helium, and of all metals."""
    wavelength = CONTINUUM_WAVELENGTH * u.AA
    temperature = 10**LOG_TEMPERATURE * u.K
    photon = (wavelength.to("erg", u.spectral())).value
    total = np.zeros((2, len(LOG_TEMPERATURE), len(wavelength)))
    for name in track(names, description="continuum"):
        ion = SingleIon(name, temperature, hdf5_dbase_root=str(hdf5))
        try:
            fraction = np.nan_to_num(ion.ionization_fraction.value)[:, None]
            power = FULL_SPHERE * ion.free_free(wavelength).value * fraction if ion.charge_state else 0.0
            two_photon = ion.hydrogenic or ion.helium_like
            if two_photon and ion._has_dataset("scups") and fraction.max() > LEAST_ION_FRACTION:
                emitted = ion.two_photon(wavelength, 10**CONTINUUM_LOG_DENSITY * u.cm**-3, use_two_ion_model=False)
                power = power + emitted.value[:, 0] * fraction
            if ion.atomic_number > ion.charge_state and ion._has_dataset("fblvl"):
                captured = np.nan_to_num(ion.next_ion().ionization_fraction.value)[:, None]
                power = power + ion.free_bound(wavelength).value * captured
        except MissingDatasetException:
            continue
        which = 0 if ion.atomic_number <= 2 else 1
        total[which] += np.nan_to_num(power) * abundance.get(ion.atomic_number, 0.0) / photon
    return np.maximum(total, CONTINUUM_FLOOR).transpose(0, 2, 1).astype(np.float32)


def build_table(chianti: Path, hdf5: Path, cache: Path, names: Sequence[str] | None = None) -> EmissivityTable:
    """Solve every ion (or take it from the cache), select lines, and return the table."""
    listed = fiasco.list_ions(str(hdf5))
    solved = [_cached_ion(name, hdf5, cache) for name in track(names or listed, description="ions")]
    ions = [ion for ion in solved if ion is not None]
    abundances = read_abundances(hdf5)
    weights = abundances[SELECTION_ABUNDANCES]
    ions = [ion for ion in ions if ion.element in weights]
    totals = assembly.solved_totals(ions, weights)
    features = assembly.blend_lines(ions, weights, totals)
    chosen = assembly.select_features(ions, features, weights, totals)
    starts = np.cumsum([0] + [feature.max() + 1 for feature in features])
    flags = np.zeros(starts[-1], dtype=bool)
    for index in chosen.values():
        flags[index] = True
    kept = [np.flatnonzero(flags[start:end]) for start, end in pairwise(starts)]
    rows = [
        assembly.tabulate_features(ion, feature, number)
        for ion, feature, number in zip(ions, features, kept, strict=True)
    ]
    wavelength = np.concatenate([row.wavelength for row in rows])
    order = np.argsort(wavelength, kind="stable")
    owner = np.concatenate([np.full(len(number), k) for k, number in enumerate(kept)])[order]
    labels = [f"{ions[k].name} {length:.3f}" for k, length in zip(owner, wavelength[order], strict=True)]
    masks = [np.isin(feature, number) for feature, number in zip(features, kept, strict=True)]
    bins, elements, pseudo = assembly.pseudo_continuum(ions, masks, weights)
    return EmissivityTable(
        log_temperature=LOG_TEMPERATURE,
        log_density=LOG_DENSITY,
        line_wavelength=wavelength[order],
        line_element=np.array([ion.element for ion in ions])[owner],
        line_ion=np.array([ion.stage for ion in ions])[owner],
        line_theoretical=np.concatenate([row.theoretical for row in rows])[order],
        line_label=np.array(labels),
        line_log_emissivity=np.concatenate([row.log_emissivity for row in rows])[order],
        pseudo_edges=assembly.bin_edges(),
        pseudo_bin=bins,
        pseudo_element=elements,
        pseudo_log_emissivity=pseudo,
        continuum_wavelength=CONTINUUM_WAVELENGTH,
        continuum_component=("hydrogen_helium", "metals"),
        continuum=continuum(hdf5, listed, abundances[CONTINUUM_ABUNDANCES]),
        continuum_abundances=CONTINUUM_ABUNDANCES,
        abundances=abundances,
        provenance=_provenance(chianti, ions, {name: len(index) for name, index in chosen.items()}),
    )


def _provenance(chianti: Path, ions: Sequence[IonLines], lines_per_band: dict[str, int]) -> dict:
    """Return what a reader must know of the table's origin, CHIANTI's version of every ion included."""
    version = (chianti / "VERSION").read_text().strip()
    record = chianti / "masterlist" / "PROVENANCE.json"
    known = json.loads(record.read_text())["ions"] if record.exists() else {}
    sources = {ion.name: known.get(ion.chianti_name, {}).get("source", version) for ion in ions}
    return {
        "chianti_version": version,
        "fiasco_version": fiasco.__version__,
        "citation": CITATION,
        "ions": sources,
        "ions_solved_with_the_next": [ion.name for ion in ions if _is_pair(ion.element, ion.stage)],
        "selection_abundances": SELECTION_ABUNDANCES,
        "lines_needed_per_band": lines_per_band,
    }


def build(
    chianti: Path,
    output: Path = SHIPPED,
    *,
    hdf5: Path | None = None,
    cache: Path | None = None,
    ions: Sequence[str] | None = None,
) -> EmissivityTable:
    """Make the emissivity table from a CHIANTI tree and write it.

    Parameters
    ----------
    chianti : path
        Unpacked CHIANTI 10 database in its native formats.
    output : path
        Where the table goes; default is the file the package reads.
    hdf5 : path, optional
        fiasco's conversion of the tree; made (in a minute) if it does not exist. Default: beside the tree.
    cache : path, optional
        Folder of solved ions: an interrupted build goes on where it stopped. Default: beside the tree.
    ions : sequence of str, optional
        Only these, as fiasco names them ("Fe 12") or as CHIANTI does ("fe_12").

    Raises
    ------
    AtomicDataError
        If there is no CHIANTI tree at `chianti`.
    """
    if not (chianti / "VERSION").exists():
        raise AtomicDataError(f"There is no CHIANTI database at {chianti}: unpack one there (it holds a file VERSION).")
    hdf5 = hdf5 or chianti.parent / "chianti.h5"
    if not hdf5.exists():
        with tempfile.TemporaryDirectory(dir=hdf5.parent) as folder:
            partial = Path(folder) / hdf5.name
            build_hdf5_dbase(chianti, partial, check_hash=False)
            partial.rename(hdf5)
    cache = cache or chianti.parent / "coronium-ions"
    cache.mkdir(parents=True, exist_ok=True)
    names = [name.replace("_", " ").capitalize() for name in ions] if ions else None
    table = build_table(chianti, hdf5, cache, names)
    save_table(table, output)
    return table
