"""`coronium simulate`: the mission's data set holds what it says, and a file is whole or is not there."""

import h5py
import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from coronium.cli.main import app
from coronium.contract.conversion import spectrum_from_message
from coronium.physics.readers.errors import SpectrumFormatError
from coronium.physics.readers.hdf5 import read_hdf5, read_made_with, read_truths
from coronium.physics.readers.hdf5_writer import spectra_file, write_spectra
from coronium.physics.readers.tabular import read_spectra
from tests.unit.spectra import good_spectrum

COUNT = 320


def simulate(*arguments: object) -> None:
    done = CliRunner().invoke(app, ["simulate", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def mission(tmp_path_factory):
    """The mission's data set, small: the training and the test file."""
    folder = tmp_path_factory.mktemp("mission")
    simulate("--mission", "--n", COUNT, "--seed", 3, "--output", folder / "eis.h5")
    assert sorted(file.name for file in folder.iterdir()) == ["eis-test.h5", "eis-train.h5"]
    return folder / "eis-train.h5", folder / "eis-test.h5"


def test_four_fifths_of_the_mission_set_are_for_training_and_no_target_is_in_both(mission):
    targets = [{spectrum.target for spectrum in read_hdf5(file)} for file in mission]
    assert [len(part) for part in targets] == [COUNT * 4 // 5, COUNT // 5]
    assert not targets[0] & targets[1]


def test_the_mission_set_fills_its_ranges_evenly_in_the_logarithm(mission):
    truths = [read_truths(file) for file in mission]
    for name, low, high in (("log_temperature", 6, 7), ("log_density", 9, 11), ("signal_to_noise", 1, 10)):
        value = np.concatenate([part[name] for part in truths])
        if name == "signal_to_noise":
            value, low, high = np.log10(value), 0.0, 1.0
        share = np.sort((value - low) / (high - low))
        assert -1e-3 < share[0] < 0.02
        assert 0.98 < share[-1] < 1.001
        # Kolmogorov-Smirnov distance from the uniform distribution, 99.9 % bound.
        assert np.abs(share - (np.arange(COUNT) + 0.5) / COUNT).max() < 1.95 / np.sqrt(COUNT)


def test_the_truths_name_every_unknown_and_every_line(mission):
    for file in mission:
        truths, made_with = read_truths(file), read_made_with(file)
        for name in ("unknowns", "line_signal_to_noise"):
            assert truths[name].shape[1] == len(made_with[name])
        low, high = made_with["priors"]["log_temperature"]
        latent = truths["unknowns"][:, made_with["unknowns"].index("log_temperature")]
        np.testing.assert_allclose(low + (high - low) * norm.cdf(latent), truths["log_temperature"], atol=1e-5)


def test_the_same_seed_gives_the_same_spectra_and_another_seed_others(mission, tmp_path):
    for seed in (3, 4):
        simulate("--mission", "--n", 80, "--seed", seed, "--output", tmp_path / f"{seed}.h5")
    longer, same, other = (
        [spectrum.channels[0].counts for spectrum in read_hdf5(file)[:64]]
        for file in (mission[0], tmp_path / "3-train.h5", tmp_path / "4-train.h5")
    )
    assert np.array_equal(longer, same)
    assert not np.array_equal(longer, other)


def test_plasma_with_a_temperature_distribution_has_a_width(tmp_path):
    simulate("--plasma", "gaussian-dem", "--n", 3, "--snr", "3:5", "--output", tmp_path / "dem.h5")
    made_with = read_made_with(tmp_path / "dem.h5")
    assert made_with["plasma"] == "gaussian-dem"
    widths = read_truths(tmp_path / "dem.h5")["unknowns"][:, made_with["unknowns"].index("dem_width")]
    assert len(set(widths.tolist())) == 3


def test_the_missions_range_of_signal_to_noise_is_its_own(tmp_path):
    done = CliRunner().invoke(app, ["simulate", "--mission", "--snr", "1:2", "--output", str(tmp_path / "x.h5")])
    assert done.exit_code == 2


def test_an_interrupted_file_is_not_there_and_the_old_one_stays(tmp_path):
    spectra = [spectrum_from_message(good_spectrum())]
    path = tmp_path / "spectra.h5"
    write_spectra(path, spectra * 2)

    def interrupted():
        with spectra_file(path) as file:
            file.add(spectra)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["spectra.h5"]
    assert len(read_hdf5(path)) == 2


def test_what_a_killed_run_leaves_behind_no_reader_takes_for_a_file_of_spectra(tmp_path):
    part = tmp_path / "spectra.h5.part"
    with h5py.File(part, "w") as file:
        file.create_group("blocks/0000")
    with pytest.raises(SpectrumFormatError, match="unknown kind of file"):
        read_spectra(part)
    part.rename(tmp_path / "renamed.h5")
    with pytest.raises(SpectrumFormatError, match="is not a coronium-spectra file"):
        read_hdf5(tmp_path / "renamed.h5")


def test_a_file_written_in_parts_reads_like_one_written_at_once(tmp_path):
    spectra = [spectrum_from_message(good_spectrum())] * 5
    truths = {"log_temperature": np.linspace(6, 7, 5)}
    with spectra_file(tmp_path / "parts.h5") as file:
        file.add(spectra[:3], {"log_temperature": truths["log_temperature"][:3]})
        file.add(spectra[3:], {"log_temperature": truths["log_temperature"][3:]})
    write_spectra(tmp_path / "once.h5", spectra, truths)
    parts, once = (read_hdf5(tmp_path / name) for name in ("parts.h5", "once.h5"))
    assert len(parts) == len(once) == 5
    for a, b in zip(parts, once, strict=True):
        np.testing.assert_array_equal(a.channels[0].counts, b.channels[0].counts)
    np.testing.assert_array_equal(read_truths(tmp_path / "parts.h5")["log_temperature"], truths["log_temperature"])
