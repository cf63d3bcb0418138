"""Files made to do harm are refused in one sentence: those that unpack, or are said to, to more than there is room for,
and those whose inner references never end."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from coronium.physics.instruments.ogip import ResponseFormatError, read_arf
from coronium.physics.readers import errors, hdf5, hdf5_probe, table
from coronium.physics.readers.errors import SpectrumFormatError, check_file, readable
from coronium.physics.readers.tabular import read_spectra
from tests._shared import REPOSITORY
from tests.fuzz import files
from tests.peak_memory import rise

MEBIBYTE = 1024 * 1024
MEG = "chandra-meg"


def refusal(path: Path) -> str:
    """Return why a file is not read; fails where reading it takes memory."""
    with rise() as memory, pytest.raises(SpectrumFormatError) as refused:
        read_spectra(path, MEG)
    assert memory.size < 256 * MEBIBYTE
    said = str(refused.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the limit small, so that the test's own files are."""
    monkeypatch.setattr(errors, "MAX_FILE_BYTES", 8 * MEBIBYTE)
    monkeypatch.setattr(check_file, "__defaults__", (8 * MEBIBYTE, SpectrumFormatError))


@pytest.mark.parametrize("name", ["star.pha", "star.fits.gz", "star.h5"])
def test_a_gzip_bomb_is_refused_whatever_it_calls_itself(tmp_path: Path, little_room: None, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(600 * MEBIBYTE), 1))
    assert "unpacks to more than 8 MiB" in refusal(path)


def test_a_table_that_is_packed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "star.csv"
    path.write_bytes(gzip.compress(bytes(100 * MEBIBYTE), 1))
    assert "unpacks to more than 64 MiB" in refusal(path)
    path.write_bytes(gzip.compress(files.csv()))
    assert "not a text in UTF-8" in refusal(path)


@pytest.mark.parametrize("name", ["star.fits", "star.csv", "star.h5"])
def test_what_other_packers_made_is_not_unpacked(tmp_path: Path, name: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("star.fits", files.type_one())
    for data, packer in ((bz2.compress(bytes(MEBIBYTE)), "bzip2"), (archive.getvalue(), "zip")):
        (tmp_path / name).write_bytes(data)
        assert f"is packed by {packer}" in refusal(tmp_path / name)


def test_a_file_or_a_table_beyond_the_limit_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "sparse.fits").open("wb") as file:
        file.truncate(errors.MAX_FILE_BYTES + 1)
    assert "more than 2048 MiB" in refusal(tmp_path / "sparse.fits")
    monkeypatch.setattr(table, "MAX_TABLE_BYTES", 1000)
    (tmp_path / "long.csv").write_text("wavelength,counts\n" + "15.0,1\n" * 500)
    assert "cut it into several files" in refusal(tmp_path / "long.csv")


def test_a_fits_table_of_endless_columns_is_refused(tmp_path: Path) -> None:
    # astropy would list them all, until the memory is used up.
    data = files.type_one().replace(b"TFIELDS =                    5", b"TFIELDS = 99999999999999999999")
    (tmp_path / "endless.pha").write_bytes(data)
    assert "no table of at most 999 columns" in refusal(tmp_path / "endless.pha")
    arf = files.response().replace(b"TFIELDS =                    3", b"TFIELDS = 99999999999999999999")
    (tmp_path / "endless.arf").write_bytes(arf)
    with pytest.raises(ResponseFormatError, match="no table of at most 999 columns"):
        read_arf(tmp_path / "endless.arf")


def test_a_fits_table_that_claims_more_rows_than_there_are_is_refused(tmp_path: Path) -> None:
    for name, data in (("rows.pha", files.type_one()), ("rows.fits.gz", files.type_one())):
        claim = data.replace(b"NAXIS2  =                   20", b"NAXIS2  =         999999999999")
        (tmp_path / name).write_bytes(gzip.compress(claim) if name.endswith("gz") else claim)
        assert "damaged" in refusal(tmp_path / name)


def test_arrays_that_are_only_declared_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "declared.h5"
    path.write_bytes(files.hdf5())
    with h5py.File(path, "a") as file:
        file.create_dataset("blocks/0000/empty", shape=(10**12,), dtype="f8", chunks=(1000,))
    assert path.stat().st_size < MEBIBYTE
    assert "its arrays take more than 2048 MiB" in refusal(path)


def test_a_packed_array_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path, little_room: None) -> None:
    path = tmp_path / "packed.h5"
    path.write_bytes(files.hdf5())
    with h5py.File(path, "a") as file:
        file.create_dataset("blocks/0000/zeros", data=np.zeros(4 * MEBIBYTE), compression="gzip")
    with pytest.raises(SpectrumFormatError, match="its arrays take more than 8 MiB"):
        hdf5.read_hdf5(path)


@pytest.mark.parametrize("soft", [True, False])
def test_one_array_under_many_names_is_refused(tmp_path: Path, soft: bool) -> None:
    path = tmp_path / "aliases.h5"
    path.write_bytes(files.hdf5())
    with h5py.File(path, "a") as file:
        for number in range(100, 140):
            block = file.create_group(f"blocks/{number:04d}")
            block["channels"] = h5py.SoftLink("/blocks/0000/channels") if soft else file["blocks/0000/channels"]
    assert "give a file in which everything has one name" in refusal(path)


def test_arrays_in_other_files_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.h5"
    path.write_bytes(files.hdf5())
    with h5py.File(path, "a") as file:
        file.create_dataset("blocks/0000/secret", shape=(10,), dtype="u1", external=[("/etc/hostname", 0, 10)])
    assert "'blocks/0000/secret' lies in another file" in refusal(path)


def test_a_count_of_spectra_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.h5"
    path.write_bytes(files.hdf5())
    with h5py.File(path, "a") as file:
        file.attrs["spectra"] = 10**12
    assert "says that it holds 1000000000000 spectra" in refusal(path)


def test_a_file_that_libhdf5_never_finishes_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Found by the fuzzer: five bytes of a heap are others, and looking something up goes in a circle.
    path = tmp_path / "circle.h5"
    path.write_bytes(gzip.decompress((REPOSITORY / "tests" / "golden" / "circle.h5.gz").read_bytes()))
    monkeypatch.setattr(hdf5_probe, "_SECONDS", 8.0)
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    "error", [MemoryError(), AssertionError(), RecursionError("deep"), KeyError("x"), Exception("a\nb")]
)
def test_whatever_a_library_raises_is_one_sentence(error: Exception) -> None:
    with pytest.raises(SpectrumFormatError) as refused, readable("star.fits"):
        raise error
    assert str(refused.value).startswith("star.fits: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a" * 300 + ".csv", "folder.h5/inside.h5", "\0.csv"])
def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.h5").write_bytes(b"")
    with pytest.raises(SpectrumFormatError):
        read_spectra(tmp_path / name, MEG)
