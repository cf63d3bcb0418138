"""Coronium's own file of spectra: HDF5, any number of spectra, with the truths of a simulation beside them.

Layout (format "coronium-spectra", version 1)::

    /                     attributes: format, version, spectra
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

An array that is the same for all spectra of a block is stored once, with a first axis of length 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coronium.physics.readers.errors import SpectrumFormatError
from coronium.physics.spectrum import Channel, SourceKind, Spectrum, Statistic

FORMAT, VERSION = "coronium-spectra", 1
ALWAYS = ("wavelength_edges", "counts", "area_exposure", "mask")
OPTIONAL = ("background", "background_scale", "read_variance")


def write_spectra(path: str | Path, spectra: Sequence[Spectrum], truths: Mapping[str, ArrayLike] | None = None) -> None:
    """Write spectra, and what they were made of where that is known.

    Parameters
    ----------
    path : path
        Overwritten if it exists.
    spectra : sequence of Spectrum
    truths : mapping of str to array, optional
        Each with one row per spectrum.

    Raises
    ------
    ValueError
        When a truth has another number of rows than there are spectra.
    """
    import h5py

    blocks: dict[tuple[Any, ...], list[int]] = {}
    for position, spectrum in enumerate(spectra):
        blocks.setdefault(_shape(spectrum), []).append(position)
    arrays = {name: np.asarray(values) for name, values in (truths or {}).items()}
    for name, values in arrays.items():
        if len(values) != len(spectra):
            raise ValueError(f"truth {name!r} has {len(values)} rows for {len(spectra)} spectra")
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "spectra": len(spectra)})
        for number, positions in enumerate(blocks.values()):
            _write_block(file.create_group(f"blocks/{number:04d}"), [spectra[i] for i in positions], positions)
        for name, values in arrays.items():
            _store(file, f"truths/{name}", values)


def read_hdf5(path: str | Path) -> list[Spectrum]:
    """Read the spectra of a file that `write_spectra` wrote, in their order.

    Raises
    ------
    SpectrumFormatError
    """
    with _opened(path) as file:
        spectra: dict[int, Spectrum] = {}
        try:
            for block in file["blocks"].values():
                spectra.update(zip(block["position"][:].tolist(), _read_block(block), strict=True))
        except (KeyError, ValueError) as error:
            raise SpectrumFormatError(f"{path}: damaged or incomplete ({error})") from error
        if sorted(spectra) != list(range(file.attrs["spectra"])):
            raise SpectrumFormatError(f"{path}: holds {len(spectra)} of its {file.attrs['spectra']} spectra")
    return [spectra[i] for i in sorted(spectra)]


def read_truths(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the true quantities beside simulated spectra; empty where the file has none."""
    with _opened(path) as file:
        return {name: _load(values) for name, values in file.get("truths", {}).items()}


def _opened(path: str | Path) -> Any:
    import h5py

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise SpectrumFormatError(f"{path}: no such file") from None
    except OSError:
        raise SpectrumFormatError(f"{path}: not an HDF5 file") from None
    if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
        found = file.attrs.get("format", "no format attribute"), file.attrs.get("version", "none")
        file.close()
        raise SpectrumFormatError(f"{path}: is not a {FORMAT} file of version {VERSION} (found {found[0]}, {found[1]})")
    return file


def _shape(spectrum: Spectrum) -> tuple[Any, ...]:
    channels = tuple(
        (c.name, c.statistic, c.bins, tuple(getattr(c, name) is not None for name in OPTIONAL))
        for c in spectrum.channels
    )
    return spectrum.instrument, spectrum.source, spectrum.exposures, channels


def _write_block(group: Any, spectra: list[Spectrum], positions: list[int]) -> None:
    first = spectra[0]
    group.attrs.update({"instrument": first.instrument, "source": first.source.value})
    _store(group, "position", np.array(positions))
    _store(group, "target", np.array([s.target for s in spectra]))
    _store(group, "name", np.array([s.name for s in spectra]))
    _store(group, "annotations", np.array([json.dumps(s.annotations, sort_keys=True) for s in spectra]))
    distances = [np.nan if s.distance_pc is None else s.distance_pc for s in spectra]
    _store(group, "distance_pc", np.array(distances, dtype=float))
    _store(group, "exposure_start", np.array([s.exposure_start for s in spectra], dtype=float))
    _store(group, "exposure_seconds", np.array([s.exposure_seconds for s in spectra], dtype=float))
    for index, channel in enumerate(first.channels):
        here = group.create_group(f"channels/{index}")
        here.attrs.update({"name": channel.name, "statistic": channel.statistic.value})
        for name in (*ALWAYS, *(n for n in OPTIONAL if getattr(channel, n) is not None)):
            values = [getattr(s.channels[index], name) for s in spectra]
            if all(np.array_equal(value, values[0]) for value in values[1:]):
                values = values[:1]
            _store(here, name, np.array(values))


def _read_block(block: Any) -> list[Spectrum]:
    count = len(block["position"])
    plain = {name: _load(values) for name, values in block.items() if name != "channels"}
    channels = [
        (
            part.attrs["name"],
            Statistic(part.attrs["statistic"]),
            {name: part[name][:] for name in (*ALWAYS, *(n for n in OPTIONAL if n in part))},
        )
        for part in (block["channels"][str(i)] for i in range(len(block["channels"])))
    ]

    def row(values: NDArray[Any], i: int) -> Any:
        return values[0 if len(values) == 1 else i]

    return [
        Spectrum(
            target=plain["target"][i],
            instrument=block.attrs["instrument"],
            source=SourceKind(block.attrs["source"]),
            channels=tuple(
                Channel(name=name, statistic=statistic, **{key: row(value, i) for key, value in arrays.items()})
                for name, statistic, arrays in channels
            ),
            exposure_start=plain["exposure_start"][i],
            exposure_seconds=plain["exposure_seconds"][i],
            distance_pc=None if np.isnan(plain["distance_pc"][i]) else float(plain["distance_pc"][i]),
            name=plain["name"][i],
            annotations=json.loads(plain["annotations"][i]),
        )
        for i in range(count)
    ]


def _store(group: Any, name: str, values: NDArray[Any]) -> None:
    import h5py

    if values.dtype.kind in "UO":
        group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    elif values.size > 1000:
        group.create_dataset(name, data=values, compression="gzip", compression_opts=4, shuffle=True)
    else:
        group.create_dataset(name, data=values)


def _load(dataset: Any) -> NDArray[Any]:
    return dataset.asstr()[:] if dataset.dtype.kind == "O" else dataset[:]
