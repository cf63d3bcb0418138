"""Weights on disk: what is read is what was written, or one sentence says what to do."""

import json

import pytest
import torch

from coronium.network.files import (
    WeightsError,
    combined_version,
    known_instruments,
    read_network,
    training_record,
)
from coronium.network.prediction import Predictor
from coronium.network.weights import device_of, load_network
from tests.unit.network_folder import untrained_network


def test_what_is_written_is_read_back(tmp_path):
    untrained_network(tmp_path, "hinode-eis")
    first, second = (load_network("hinode-eis", tmp_path) for _ in range(2))
    assert first.version == second.version == read_network("hinode-eis", tmp_path)[1]
    assert first.meaning.line_label[0] == "Fe XII 186.880+"
    for a, b in zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert training_record("hinode-eis", tmp_path) == {"settings": {}}
    assert known_instruments(tmp_path) == ["hinode-eis"]


def test_other_weights_have_another_version(tmp_path):
    untrained_network(tmp_path, "hinode-eis", seed=0)
    before = combined_version(tmp_path)
    untrained_network(tmp_path, "hinode-eis", seed=1)
    assert combined_version(tmp_path) != before


def _missing(path):
    path.unlink()


def _one_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def _no_record(path):
    path.with_suffix(".json").unlink()


def _bad_record(path):
    path.with_suffix(".json").write_text("[]")


@pytest.mark.parametrize("harm", [_missing, _one_bit, _cut, _no_record, _bad_record])
def test_missing_or_corrupt_files_are_one_sentence_that_says_what_to_do(tmp_path, harm):
    harm(untrained_network(tmp_path, "hinode-eis"))
    with pytest.raises(WeightsError, match="coronium train --instrument hinode-eis") as fault:
        Predictor("hinode-eis", folder=tmp_path)
    assert "\n" not in str(fault.value)


def test_a_file_that_is_no_network_is_refused_although_its_hash_is_recorded(tmp_path):
    import hashlib

    path = untrained_network(tmp_path, "hinode-eis")
    path.write_bytes(b"not safetensors")
    record = json.loads(path.with_suffix(".json").read_text())
    record["sha256"] = hashlib.sha256(b"not safetensors").hexdigest()
    path.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_network("hinode-eis", tmp_path)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="no network weights"):
        combined_version(tmp_path)


def test_a_network_of_another_grid_is_refused(tmp_path):
    untrained_network(tmp_path, "hinode-eis", grid_digest="0" * 64)
    with pytest.raises(WeightsError, match="another wavelength grid"):
        Predictor("hinode-eis", folder=tmp_path)


@pytest.mark.parametrize("name", ["quantum", "cuda"])
def test_a_device_that_is_not_there_is_refused(name):
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ValueError, match="use cpu"):
        device_of(name)
