"""The emissivity table: what it holds, and how the shipped file is written and read."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coronium.physics.spectrum import FloatArray

SHIPPED = Path(__file__).parent / "data" / "emissivity.npz.xz"
LOG_STEP = 4e-4
"""Quantum of ln emissivity in the file: a rounding error of at most 0.02 %."""
LOG_DEPTH = 26.0
"""A line is followed down to exp(-26) of its peak and held there below, so that all is finite."""
"""Element symbols by atomic number, from hydrogen (index 0) to zinc."""
_CODES = 1 << 16


class AtomicDataError(Exception):
    """The emissivity table cannot be read; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class EmissivityTable:
    """Line and continuum emissivities of an optically thin plasma in ionisation equilibrium.

    Every emissivity is per n_e n_H: multiply by the emission measure (the integral of n_e n_H) and, for lines
    and the pseudo-continuum, by the element's abundance n_el / n_H. No 4 pi, no n_H / n_e.

    Attributes
    ----------
    log_temperature : (T,) array
        log10 K, uniform.
    log_density : (N,) array
        log10 electrons cm-3, uniform.
    line_wavelength : (L,) array
        Angstrom, increasing.
    line_element, line_ion : (L,) int array
        Atomic number; ionisation stage (12 for Fe XII).
    line_theoretical : (L,) bool array
        True where the wavelength is computed, not observed.
    line_label : (L,) str array
        For example "Fe XII 192.394".
    line_log_emissivity : (L, T, N) float32 array
        ln[f_ion N_j A_ji / n_e], photons cm3 s-1, at unit abundance.
    pseudo_edges : (M + 1,) array
        Edges of the bins that hold the lines not kept one by one, Angstrom.
    pseudo_bin, pseudo_element : (P,) int array
        Which bin, and which element (atomic number), each pseudo-continuum entry belongs to.
    pseudo_log_emissivity : (P, T, N) float32 array
        ln of the summed emissivity of those lines, photons cm3 s-1 per bin, at unit abundance.
    continuum_wavelength : (W,) array
        Angstrom, increasing.
    continuum_component : tuple of str
        "hydrogen_helium" (helium at the reference abundance) and "metals" (at the reference abundances; scale
        it with the metallicity).
    continuum : (2, W, T) float32 array
        Free-free, free-bound and two-photon emission, photons cm3 s-1 Angstrom-1; positive everywhere, so
        that its logarithm can be interpolated.
    continuum_abundances : str
        Name of the abundance set inside `continuum`.
    abundances : dict
        Abundance sets n_el / n_H by name and atomic number.
    provenance : dict
        CHIANTI version, citation, source of every ion, and how the table was made.
    """

    log_temperature: FloatArray
    log_density: FloatArray
    line_wavelength: FloatArray
    line_element: np.ndarray
    line_ion: np.ndarray
    line_theoretical: np.ndarray
    line_label: np.ndarray
    line_log_emissivity: FloatArray
    pseudo_edges: FloatArray
    pseudo_bin: np.ndarray
    pseudo_element: np.ndarray
    pseudo_log_emissivity: FloatArray
    continuum_wavelength: FloatArray
    continuum_component: tuple[str, ...]
    continuum: FloatArray
    continuum_abundances: str
    abundances: dict[str, dict[int, float]]
    provenance: dict


_ARRAYS = (
    "log_temperature",
    "log_density",
    "line_wavelength",
    "line_element",
    "line_ion",
    "line_theoretical",
    "line_label",
    "pseudo_edges",
    "pseudo_bin",
    "pseudo_element",
    "continuum_wavelength",
    "continuum",
)


def _pack(log_emissivity: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Quantise (K, T, N) to 16 bits below each entry's peak; store second differences, which compress."""
    peak = log_emissivity.max(axis=(1, 2)).astype(np.float32)
    depth = np.minimum(peak[:, None, None] - log_emissivity, LOG_DEPTH)
    codes = np.rint(depth / LOG_STEP).astype(np.int64)
    for axis in (1, 1, 2):
        codes = np.diff(codes, axis=axis, prepend=0)
    return peak, (codes % _CODES).astype(np.uint16)


def _unpack(peak: np.ndarray, codes: np.ndarray) -> FloatArray:
    depth = codes
    for axis in (2, 1, 1):
        depth = np.cumsum(depth, axis=axis, dtype=np.uint16)
    return peak[:, None, None] - depth.astype(np.float32) * np.float32(LOG_STEP)


def save_table(table: EmissivityTable, path: Path) -> None:
    """Write a table: numpy arrays in an npz, compressed with xz, whose SHA-256 check guards the content."""
    arrays = {name: getattr(table, name) for name in _ARRAYS}
    for name in ("line", "pseudo"):
        peak, codes = _pack(getattr(table, f"{name}_log_emissivity"))
        arrays[f"{name}_peak"], arrays[f"{name}_codes"] = peak, codes
    facts = {
        "continuum_component": table.continuum_component,
        "continuum_abundances": table.continuum_abundances,
        "abundances": table.abundances,
        "provenance": table.provenance,
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(buffer.getvalue(), check=lzma.CHECK_SHA256, preset=9))


def load_table(path: Path | str | None = None) -> EmissivityTable:
    """Read an emissivity table.

    Parameters
    ----------
    path : path, optional
        The file that `coronium atomic build` wrote; default is the one shipped with the package.

    Raises
    ------
    AtomicDataError
        If the file is missing or corrupt.
    """
    source = Path(path) if path is not None else SHIPPED
    advice = "reinstall coronium, or make the table with `coronium atomic build --chianti DIR`"
    try:
        content = lzma.decompress(source.read_bytes())
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays.pop("facts").tobytes())
        fields = {name: arrays[name] for name in _ARRAYS}
        for name in ("line", "pseudo"):
            fields[f"{name}_log_emissivity"] = _unpack(arrays[f"{name}_peak"], arrays[f"{name}_codes"])
        abundances = {
            name: {int(number): value for number, value in values.items()}
            for name, values in facts["abundances"].items()
        }
        return EmissivityTable(
            **fields,
            continuum_component=tuple(facts["continuum_component"]),
            continuum_abundances=facts["continuum_abundances"],
            abundances=abundances,
            provenance=facts["provenance"],
        )
    except FileNotFoundError:
        raise AtomicDataError(f"There is no emissivity table at {source}: {advice}.") from None
    except (OSError, EOFError, ValueError, KeyError, lzma.LZMAError, zipfile.BadZipFile) as fault:
        raise AtomicDataError(f"The emissivity table {source} cannot be read ({fault}): {advice}.") from None
