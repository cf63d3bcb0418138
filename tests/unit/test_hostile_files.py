"""A file from outside is data: nothing in it is executed, and it reaches no other file of the machine."""

from __future__ import annotations

import io
import json
import lzma
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits

from coronium.network.files import WeightsError, read_network, training_record
from coronium.network.weights import load_network
from coronium.physics.atomic.table import AtomicDataError, load_table
from coronium.physics.readers.capella import read_capella
from coronium.physics.readers.tabular import SpectrumFormatError, read_spectra, write_spectra
from tests.unit.network_folder import untrained_network


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a file that is executed leaves behind."""
    return tmp_path / "executed"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file of spectra as we write it."""
    path = tmp_path / "spectra.h5"
    write_spectra(path, read_capella()[:1])
    assert len(read_spectra(path)) == 1
    return path


def external_link(file: h5py.File, other: Path) -> None:
    del file["blocks/0000/channels/0/counts"]
    file["blocks/0000/channels/0/counts"] = h5py.ExternalLink(str(other), "/secret")


def external_storage(file: h5py.File, other: Path) -> None:
    group = file["blocks/0000/channels/0"]
    shape = group["counts"].shape
    del group["counts"]
    group.create_dataset("counts", shape=shape, dtype="f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file: h5py.File, other: Path) -> None:
    group = file["blocks/0000/channels/0"]
    shape = group["counts"].shape
    del group["counts"]
    layout = h5py.VirtualLayout(shape=shape, dtype="f4")
    layout[...] = h5py.VirtualSource(str(other), "secret", shape=shape)
    group.create_virtual_dataset("counts", layout)


def truths_elsewhere(file: h5py.File, other: Path) -> None:
    file["truths"] = h5py.ExternalLink(str(other), "/")


@pytest.mark.parametrize("harm", [external_link, external_storage, virtual_dataset, truths_elsewhere])
def test_an_hdf5_file_that_points_at_another_file_is_refused(
    good: Path, tmp_path: Path, harm: Callable[[h5py.File, Path], None]
) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(good) as file, h5py.File(other, "w") as secret:
        secret["secret"] = file["blocks/0000/channels/0/counts"][:]
    with h5py.File(good, "a") as file:
        harm(file, other)
    with pytest.raises(SpectrumFormatError, match="another file; give a file that holds its own data"):
        read_spectra(good)


def test_an_hdf5_filter_that_would_be_loaded_from_a_plugin_is_refused(good: Path) -> None:
    with h5py.File(good, "a") as file:
        group = file["blocks/0000/channels/0"]
        shape = group["counts"].shape
        del group["counts"]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk(shape)
        creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(group.id, b"counts", h5py.h5t.IEEE_F32LE, space, creation)
    with pytest.raises(SpectrumFormatError, match="needs the HDF5 filter 32015"):
        read_spectra(good)


def test_an_eis_pair_that_points_at_another_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("eispac")
    for kind in ("data", "head"):
        with h5py.File(tmp_path / f"eis_20210306_064444.{kind}.h5", "w") as file:
            file["index"] = h5py.ExternalLink("/etc/passwd", "/")
    for kind in ("data", "head"):
        with pytest.raises(SpectrumFormatError, match="links to another file"):
            read_spectra(tmp_path / f"eis_20210306_064444.{kind}.h5")


def spectrum_fits(path: Path, **header: str) -> None:
    """A PHA file of one order, with whatever its header says."""
    low = np.linspace(11.0, 22.9, 200)
    columns = [
        fits.Column("CHANNEL", "J", array=np.arange(200)),
        fits.Column("BIN_LO", "D", array=low),
        fits.Column("BIN_HI", "D", array=low + low[1] - low[0]),
        fits.Column("COUNTS", "J", array=np.ones(200)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header.update(header)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


@pytest.mark.parametrize("key", ["BACKFILE", "RESPFILE", "ANCRFILE"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_fits_header_cannot_name_a_file_outside_its_folder(tmp_path: Path, key: str, absolute: bool) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    outside = tmp_path / "secret.fits"
    spectrum_fits(outside)
    spectrum_fits(folder / "a.pha", **{key: str(outside) if absolute else "../secret.fits"})
    if key == "RESPFILE":
        with fits.open(folder / "a.pha", mode="update") as file:
            file["SPECTRUM"].columns.del_col("BIN_LO")
    with pytest.raises(SpectrumFormatError, match=f"{key} names .*, outside the spectrum's folder"):
        read_spectra(folder / "a.pha", "chandra-meg", "x")


def test_a_pickle_in_a_fits_column_stays_bytes(tmp_path: Path, mark: Path) -> None:
    payload = pickle.dumps(Bomb(mark))
    column = fits.Column("COUNTS", f"{len(payload)}A", array=np.array([payload, payload]))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="SPECTRUM")]).writeto(
        tmp_path / "a.pha"
    )
    with pytest.raises((SpectrumFormatError, ValueError)):
        read_spectra(tmp_path / "a.pha", "chandra-meg", "x")
    assert not mark.exists()


ECSV = """\
# %ECSV 1.0
# ---
# datatype:
# - {{name: wavelength, datatype: float64{unit}}}
# - {{name: counts, datatype: float64}}
{more}# schema: astropy-2.0
wavelength counts
11.0 1.0
11.1 1.0
"""


@pytest.mark.parametrize(
    ("unit", "more"),
    [
        (", unit: !!python/object/apply:os.mkdir ['MARK']", ""),
        (", unit: !!python/name:os.mkdir ''", ""),
        ("", "# meta: !!python/object/apply:os.mkdir ['MARK']\n"),
        ("", "# meta: !!omap\n# - __serialized_columns__:\n#     counts: {__class__: os.mkdir, path: 'MARK'}\n"),
    ],
)
def test_an_ecsv_header_makes_no_objects_but_astropys(tmp_path: Path, mark: Path, unit: str, more: str) -> None:
    path = tmp_path / "a.ecsv"
    path.write_text(ECSV.format(unit="", more=""))
    read_spectra(path, "chandra-meg", "x")
    path.write_text(ECSV.format(unit=unit, more=more).replace("MARK", str(mark)))
    with pytest.raises(SpectrumFormatError):
        read_spectra(path, "chandra-meg", "x")
    assert not mark.exists()


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "__import__('os').mkdir('{mark}')", "@SUM(1)", "{{7*7}}"])
def test_a_formula_in_a_csv_cell_is_no_number(tmp_path: Path, mark: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'wavelength,counts\n11.0,1\n11.1,"{cell.replace("{mark}", str(mark))}"\n')
    with pytest.raises(SpectrumFormatError, match="not a number"):
        read_spectra(path, "chandra-meg", "x")
    assert not mark.exists()


def test_an_emissivity_table_with_a_pickled_array_is_refused(tmp_path: Path, mark: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, facts=np.array([Bomb(mark)], dtype=object))
    path = tmp_path / "table.npz.xz"
    path.write_bytes(lzma.compress(buffer.getvalue()))
    with pytest.raises(AtomicDataError, match="cannot be read"):
        load_table(path)
    assert not mark.exists()


def test_weights_that_are_a_pickle_are_refused_although_their_hash_is_recorded(tmp_path: Path, mark: Path) -> None:
    import hashlib

    path = untrained_network(tmp_path, "hinode-eis")
    content = pickle.dumps(Bomb(mark))
    path.write_bytes(content)
    record = json.loads(path.with_suffix(".json").read_text())
    record["sha256"] = hashlib.sha256(content).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_network("hinode-eis", tmp_path)
    assert not mark.exists()


def test_a_pickle_inside_a_record_reaches_the_worker_as_bytes(mark: Path) -> None:
    from multiprocessing import get_context

    ours, theirs = get_context("spawn").Pipe()
    payload = pickle.dumps(Bomb(mark))
    ours.send([payload])
    assert theirs.recv() == [payload]
    assert not mark.exists()
    pickle.loads(payload)
    assert mark.exists(), "the bomb of these tests would go off"


def test_a_changed_byte_anywhere_in_the_weights_is_refused(tmp_path: Path) -> None:
    path = untrained_network(tmp_path, "hinode-eis")
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 64).astype(int):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(WeightsError, match="SHA-256 is not the recorded one") as fault:
            read_network("hinode-eis", tmp_path)
        assert "\n" not in str(fault.value)
    path.write_bytes(content)
    read_network("hinode-eis", tmp_path)


def test_a_changed_byte_in_the_record_of_the_weights_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = untrained_network(tmp_path, "hinode-eis")
    record = path.with_suffix(".json")
    content, meant = record.read_bytes(), training_record("hinode-eis", tmp_path)
    weights, refused = path.read_bytes(), []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        record.write_bytes(changed)
        try:
            assert training_record("hinode-eis", tmp_path) == meant
            assert read_network("hinode-eis", tmp_path)[0] == weights
        except WeightsError as fault:
            refused.append(str(fault))
    assert len(refused) > 0.9 * len(content.replace(b" ", b"").replace(b"\n", b""))
    assert not [sentence for sentence in refused if "\n" in sentence]
