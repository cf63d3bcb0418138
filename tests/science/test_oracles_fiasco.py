"""The shipped table against fiasco, solving ions anew from the CHIANTI tree (minutes)."""

import tarfile

import astropy.units as u
import numpy as np
import pytest
from astropy import constants

from coronium.evaluation.atomic_oracles import CORONAL, hydrogen_per_electron
from coronium.physics.abundances import SYMBOLS
from coronium.physics.atomic.interpolation import interpolate
from coronium.physics.atomic.selection import INSTRUMENT_BANDS
from coronium.physics.atomic.table import load_table
from tests._shared import shared_path

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(1800)]
POINTS = 6
IONS = 24


@pytest.fixture(scope="module")
def hdf5(tmp_path_factory):
    util = pytest.importorskip("fiasco.util")
    archive = shared_path("chianti", "chianti-v10-merged.tar.xz")
    folder = tmp_path_factory.mktemp("chianti")
    with tarfile.open(archive) as tree:
        tree.extractall(folder, filter="data")
    path = folder / "chianti.h5"
    util.build_hdf5_dbase(folder / "chianti-v10-merged", path, check_hash=False)
    return path


@pytest.fixture(scope="module")
def table():
    return load_table()


def _strongest(table, log_t, log_n):
    """Return each line's flux at one point, and whether it is above 1 % of the strongest of a band it lies in."""
    weight = np.array([table.abundances[CORONAL][z] for z in table.line_element])
    nodes = table.log_temperature, table.log_density
    flux = weight * np.exp(np.asarray(interpolate(table.line_log_emissivity, *nodes, log_t, log_n), dtype=float))
    matters = np.zeros(len(flux), dtype=bool)
    for low, high in INSTRUMENT_BANDS.values():
        inside = (table.line_wavelength >= low) & (table.line_wavelength < high)
        matters |= inside & (flux > 0.01 * flux[inside].max())
    return flux / weight, matters


def test_between_nodes_every_line_that_matters_is_within_one_percent_of_fiasco(table, hdf5):
    from coronium.physics.atomic.build import SingleIon

    rng = np.random.default_rng(5)
    log_t, log_n = rng.uniform(5.8, 7.4, POINTS), rng.uniform(8.0, 12.0, POINTS)
    predicted, matters = zip(*(_strongest(table, t, n) for t, n in zip(log_t, log_n, strict=True)), strict=True)
    matters = np.array(matters)
    coupled = table.provenance["ions_solved_with_the_next"]
    names = np.array([label.rsplit(" ", 1)[0] for label in table.line_label])
    ions = [name for name in np.unique(names[matters.any(axis=0)]) if name not in coupled]
    deviation: list[float] = []
    for name in rng.choice(ions, IONS, replace=False):
        mine = np.flatnonzero(names == name)
        stage = int(table.line_ion[mine[0]])
        ion = SingleIon((int(table.line_element[mine[0]]), stage), 10**log_t * u.K, hdf5_dbase_root=str(hdf5))
        population = ion.level_populations(
            10**log_n * u.cm**-3, use_two_ion_model=False, couple_density_to_temperature=True
        ).value[:, 0]
        per_level = population / 10 ** log_n[:, None] * ion.ionization_fraction.value[:, None]
        wavelength = ion.transitions.wavelength.to_value("AA")
        for point in range(POINTS):
            for line in mine[matters[point, mine]]:
                same = np.flatnonzero(np.abs(wavelength - table.line_wavelength[line]) < 1e-6)
                if not len(same):
                    # Several transitions that the table holds as one, at their mean wavelength.
                    continue
                exact = per_level[point, ion.transitions.upper_level[same] - 1] * ion.transitions.A[same].value
                deviation.append(float(np.min(np.abs(predicted[point][line] / exact - 1))))
    assert len(deviation) > 50
    # The table's packing adds to the interpolation: 1.003 % was seen once, in Mn XIV.
    assert np.quantile(deviation, 0.99) < 0.01
    assert max(deviation) < 0.012


@pytest.mark.parametrize(
    ("element", "stage", "wavelength", "reference"),
    [
        (26, 14, 197.866, "goft_26_14_197.862_v10.1.0.asdf"),
        pytest.param(
            *(26, 16, 262.980, "goft_26_16_262.984_v10.1.0.asdf"),
            marks=pytest.mark.xfail(
                reason="15-21 % low without the two-ion model; a million times weaker than 262.976 A beside it",
                strict=True,
            ),
        ),
    ],
)
def test_weak_lines_agree_with_idl_within_five_percent(table, hdf5, element, stage, wavelength, reference):
    asdf = pytest.importorskip("asdf")
    pytest.importorskip("asdf_astropy")
    from coronium.physics.atomic.build import SingleIon, log_populations

    with asdf.open(shared_path("data", "fiasco_idl_refs", reference)) as file:
        expected = file.tree["contribution_function"].to_value("erg cm3 s-1").astype(float)
        log_t = np.log10(file.tree["temperature"].to_value("K").astype(float))
    seen = (expected > 0.05 * expected.max()) & (log_t > 5.5)
    ion = SingleIon((element, stage), 10 ** log_t[seen] * u.K, hdf5_dbase_root=str(hdf5))
    name = f"{SYMBOLS[element - 1]} {stage}"
    population = np.exp(log_populations(SingleIon, name, hdf5, log_t[seen], np.array([10.0])))[..., 0]
    line = np.argmin(np.abs(ion.transitions.wavelength.to_value("AA") - wavelength))
    abundance = table.abundances[CORONAL]
    photon = (constants.h * constants.c / ion.transitions.wavelength[line]).to_value("erg")
    ours = population[ion.transitions.upper_level[line] - 1] * ion.transitions.A[line].value * photon
    ours *= ion.ionization_fraction.value * abundance[element] * hydrogen_per_electron(abundance)
    np.testing.assert_allclose(ours / expected[seen], 1.0, atol=0.05)
