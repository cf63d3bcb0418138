"""Writing Coronium's own file of spectra (layout in `hdf5`), all at once or some at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coronium.physics.readers.hdf5 import ALWAYS, FORMAT, OPTIONAL, VERSION
from coronium.physics.spectrum import Spectrum


class SpectraFile:
    """A file being written: `spectra_file` gives one."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._truths: list[dict[str, NDArray[Any]]] = []
        self._count = self._blocks = 0

    def add(self, spectra: Sequence[Spectrum], truths: Mapping[str, ArrayLike] | None = None) -> None:
        """Append spectra, and what they were made of where that is known.

        Parameters
        ----------
        spectra : sequence of Spectrum
        truths : mapping of str to array, optional
            Each with one row per spectrum; the same names in every call.

        Raises
        ------
        ValueError
            When a truth has another number of rows than there are spectra.
        """
        arrays = {name: np.asarray(values) for name, values in (truths or {}).items()}
        for name, values in arrays.items():
            if len(values) != len(spectra):
                raise ValueError(f"truth {name!r} has {len(values)} rows for {len(spectra)} spectra")
        shapes: dict[tuple[Any, ...], list[int]] = {}
        for index, spectrum in enumerate(spectra):
            shapes.setdefault(_shape(spectrum), []).append(index)
        for members in shapes.values():
            group = self._file.create_group(f"blocks/{self._blocks:04d}")
            _write_block(group, [spectra[i] for i in members], [self._count + i for i in members])
            self._blocks += 1
        self._truths.append(arrays)
        self._count += len(spectra)

    def _finish(self, made_with: Mapping[str, Any]) -> None:
        for name in self._truths[0] if self._truths else ():
            _store(self._file, f"truths/{name}", np.concatenate([part[name] for part in self._truths]))
        if made_with:
            self._file.attrs["made_with"] = json.dumps(made_with, sort_keys=True)
        self._file.attrs.update({"format": FORMAT, "version": VERSION, "spectra": self._count})


@contextmanager
def spectra_file(path: str | Path, made_with: Mapping[str, Any] | None = None) -> Iterator[SpectraFile]:
    """Write a file some spectra at a time; it takes its name when the block ends without error.

    Until then it is called `<name>.part`, an ending that no reader accepts: a run that is killed leaves nothing that
    looks finished.

    Parameters
    ----------
    path : path
        Overwritten at the end if it exists.
    made_with : mapping, optional
        What made the spectra, in words and numbers that JSON knows.
    """
    import h5py

    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        with h5py.File(part, "w") as file:
            writer = SpectraFile(file)
            yield writer
            writer._finish(made_with or {})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
    with spectra_file(path) as file:
        file.add(spectra, truths)


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


def _store(group: Any, name: str, values: NDArray[Any]) -> None:
    import h5py

    if values.dtype.kind in "UO":
        group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    elif values.size > 1000:
        group.create_dataset(name, data=values, compression="gzip", compression_opts=4, shuffle=True)
    else:
        group.create_dataset(name, data=values)
