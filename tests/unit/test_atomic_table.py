"""The shipped table's promises, and what a missing or broken file says."""

import lzma

import numpy as np
import pytest

from coronium.physics.atomic.selection import INSTRUMENT_BANDS
from coronium.physics.atomic.table import SHIPPED, AtomicDataError, load_table


@pytest.fixture(scope="module")
def table():
    return load_table()


def test_the_file_is_at_most_twelve_megabytes():
    assert SHIPPED.stat().st_size <= 12e6


def test_every_number_is_finite_and_lines_are_sorted(table):
    assert np.isfinite(table.line_log_emissivity).all()
    assert np.isfinite(table.pseudo_log_emissivity).all()
    assert (table.continuum > 0).all()
    assert (np.diff(table.line_wavelength) >= 0).all()


@pytest.mark.parametrize("band", INSTRUMENT_BANDS)
def test_the_lines_kept_carry_99_percent_of_the_band_at_every_node_where_it_shines(table, band):
    low, high = INSTRUMENT_BANDS[band]
    abundance = table.abundances[table.provenance["selection_abundances"]]

    def total(log_emissivity, elements, where):
        weight = np.array([abundance[z] for z in elements[where]])
        flux = np.zeros(log_emissivity.shape[1:])
        for rows, part in zip(np.array_split(where, 20), np.array_split(weight, 20), strict=True):
            flux += np.einsum("k,ktn->tn", part, np.exp(log_emissivity[rows].astype(float)))
        return flux

    lines = np.flatnonzero((table.line_wavelength >= low) & (table.line_wavelength < high))
    centre = 0.5 * (table.pseudo_edges[1:] + table.pseudo_edges[:-1])[table.pseudo_bin]
    kept = total(table.line_log_emissivity, table.line_element, lines)
    rest = total(table.pseudo_log_emissivity, table.pseudo_element, np.flatnonzero((centre >= low) & (centre < high)))
    everything = kept + rest
    shines = everything > 1e-4 * everything.max()
    assert shines.mean() > 0.5
    assert (kept / everything)[shines].min() > 0.99


def test_every_ion_says_which_chianti_release_it_comes_from(table):
    assert "CHIANTI" in table.provenance["citation"]
    ions = {label.rsplit(" ", 1)[0] for label in table.line_label}
    assert ions <= set(table.provenance["ions"])
    assert len(ions) > 150


# Intact as far as xz can tell, and begins like the archive of a table.
OTHER = lzma.compress(b"PK\x03\x04 and then something else")


def test_a_missing_table_says_how_to_make_one(tmp_path):
    with pytest.raises(AtomicDataError, match=r"no emissivity table at .*coronium atomic build"):
        load_table(tmp_path / "none.npz.xz")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another file"])
def test_a_corrupt_table_is_one_sentence(tmp_path, damage):
    content = bytearray(SHIPPED.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    broken = {"cut": content[:100_000], "flipped": content, "empty": b"", "another file": OTHER}[damage]
    path = tmp_path / "broken.npz.xz"
    path.write_bytes(bytes(broken))
    with pytest.raises(AtomicDataError, match="cannot be read"):
        load_table(path)
