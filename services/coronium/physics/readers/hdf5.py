"""Coronium's own file of spectra: HDF5, any number of spectra, with the truths of a simulation beside them.

Layout (format "coronium-spectra", version 1)::

    /                     attributes: format, version, spectra; made_with (JSON) where a simulation wrote it
    /blocks/0000          spectra of one shape: instrument, source, exposures and channels are the same
        position          (S,) place of each spectrum in the file
        target, name, annotations (JSON)     (S,) strings
        distance_pc       (S,) NaN where unknown
        exposure_start    (S, E) Unix seconds
        exposure_seconds  (S, E)
        channels/0        attributes: name, statistic
            wavelength_edges (S, N + 1), counts, area_exposure, mask (S, E, N) and, where the channel has
            them, background and read_variance (S, E, N), background_scale (S, E)
    /truths/<name>        (spectra, ...) one array for each true quantity

An array that is the same for all spectra of a block is stored once, with a first axis of length 1. Written by
`hdf5_writer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coronium.contract.limits import MAX_FILE_SPECTRA
from coronium.physics.readers.errors import SpectrumFormatError, check_arrays, check_file, readable
from coronium.physics.readers.hdf5_safety import open_hdf5
from coronium.physics.spectrum import Channel, SourceKind, Spectrum, Statistic

FORMAT, VERSION = "coronium-spectra", 1
ALWAYS = ("wavelength_edges", "counts", "area_exposure", "mask")
OPTIONAL = ("background", "background_scale", "read_variance")
_AXES = {"wavelength_edges": 2, "background_scale": 2}


def read_hdf5(path: str | Path) -> list[Spectrum]:
    """Read the spectra of a file that `write_spectra` or `spectra_file` wrote, in their order.

    Raises
    ------
    SpectrumFormatError
    """
    with _opened(path) as file:
        count = int(file.attrs["spectra"])
        if not 0 <= count <= MAX_FILE_SPECTRA:
            raise SpectrumFormatError(
                f"{path}: says that it holds {count} spectra; at most {MAX_FILE_SPECTRA} are read"
            )
        spectra: dict[int, Spectrum] = {}
        try:
            for block in file["blocks"].values():
                spectra.update(zip(block["position"][:].tolist(), _read_block(block), strict=True))
        except (KeyError, ValueError) as error:
            raise SpectrumFormatError(f"{path}: damaged or incomplete ({error})") from error
        if sorted(spectra) != list(range(count)):
            raise SpectrumFormatError(f"{path}: holds {len(spectra)} of its {count} spectra")
    return [spectra[i] for i in sorted(spectra)]


def read_truths(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the true quantities beside simulated spectra; empty where the file has none."""
    with _opened(path) as file:
        return {name: _load(values) for name, values in file.get("truths", {}).items()}


def read_made_with(path: str | Path) -> dict[str, Any]:
    """Read what a simulation was made with, the names of its unknowns and lines among it; empty for other files."""
    with _opened(path) as file:
        made_with: dict[str, Any] = json.loads(file.attrs.get("made_with", "{}"))
        return made_with


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    with readable(path):
        check_file(path)
        with open_hdf5(path) as file:
            found = file.attrs.get("format", "no format attribute"), file.attrs.get("version", "none")
            if found != (FORMAT, VERSION):
                raise SpectrumFormatError(
                    f"{path}: is not a {FORMAT} file of version {VERSION} (found {found[0]}, {found[1]})"
                )
            check_arrays(file, path)
            yield file


def _read_block(block: Any) -> list[Spectrum]:
    count = len(block["position"])
    texts = {name: _texts(block[name], count) for name in ("target", "name", "annotations")}
    start, seconds = (_numbers(block[name], 2) for name in ("exposure_start", "exposure_seconds"))
    distance = _numbers(block["distance_pc"], 1)
    channels = [
        (
            str(part.attrs["name"]),
            Statistic(part.attrs["statistic"]),
            {name: _numbers(part[name], _AXES.get(name, 3)) for name in (*ALWAYS, *(n for n in OPTIONAL if n in part))},
        )
        for part in (block["channels"][str(i)] for i in range(len(block["channels"])))
    ]

    def row(values: NDArray[Any], i: int) -> Any:
        return values[0 if len(values) == 1 else i]

    return [
        Spectrum(
            target=texts["target"][i],
            instrument=str(block.attrs["instrument"]),
            source=SourceKind(block.attrs["source"]),
            channels=tuple(
                Channel(name=name, statistic=statistic, **{key: row(value, i) for key, value in arrays.items()})
                for name, statistic, arrays in channels
            ),
            exposure_start=start[i],
            exposure_seconds=seconds[i],
            distance_pc=None if np.isnan(distance[i]) else float(distance[i]),
            name=texts["name"][i],
            annotations={str(key): str(value) for key, value in json.loads(texts["annotations"][i]).items()},
        )
        for i in range(count)
    ]


def _numbers(dataset: Any, axes: int) -> NDArray[Any]:
    if dataset.ndim != axes or dataset.dtype.kind not in "biuf":
        raise ValueError(f"{dataset.name} is no array of numbers with {axes} axes")
    return dataset[:]


def _texts(dataset: Any, count: int) -> list[str]:
    if dataset.shape != (count,) or dataset.dtype.kind != "O":
        raise ValueError(f"{dataset.name} does not hold {count} texts")
    return [str(text) for text in dataset.asstr()[:]]


def _load(dataset: Any) -> NDArray[Any]:
    return dataset.asstr()[:] if dataset.dtype.kind == "O" else dataset[:]
