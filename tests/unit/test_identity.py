"""The same data have the same name, other data another."""

import numpy as np
import pytest

from coronium.contract.identity import fingerprint, joint_result_id, random_seed, single_result_id
from coronium.v1 import posterior_pb2, spectrum_pb2


def _message():
    message = spectrum_pb2.Spectrum(
        target="capella",
        instrument="chandra-letg",
        source=spectrum_pb2.SOURCE_KIND_STAR,
        name="obsid 1248",
        annotations={"observer": "somebody"},
    )
    message.exposures.add(name="first", seconds=10.0).start.seconds = 936_000_000
    for name, start in (("letg-negative", 11.0), ("letg-positive", 17.0)):
        message.channels.add(
            name=name,
            wavelength_edges=[start, start + 0.5, start + 1.0],
            statistic=spectrum_pb2.STATISTIC_POISSON,
            counts=[3.0, 0.0],
            area_exposure=[100.0, 120.0],
            mask=b"\x01\x00",
            background=[1.0, 2.0],
            background_scale=[10.0],
        )
    return message


def _unpacked(message):
    """The wire bytes of the message with the first channel's counts written one by one instead of packed."""
    channel = spectrum_pb2.Channel()
    channel.CopyFrom(message.channels[0])
    counts = list(channel.counts)
    channel.ClearField("counts")
    body = channel.SerializeToString()
    # Field 4, wire type 5 (32 bits): a legal spelling of a repeated float.
    body += b"".join(bytes([4 << 3 | 5]) + np.float32(value).tobytes() for value in counts)
    rest = spectrum_pb2.Spectrum()
    rest.CopyFrom(message)
    del rest.channels[0]
    # Field 5, wire type 2; the length fits two base-128 digits.
    length = bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
    return rest.SerializeToString() + bytes([5 << 3 | 2]) + length + body


def test_the_fingerprint_is_64_hexadecimal_digits_and_stable():
    assert fingerprint(_message()) == fingerprint(_message())
    assert len(fingerprint(_message())) == 64
    int(fingerprint(_message()), 16)


def test_the_fingerprint_does_not_depend_on_how_floats_were_packed():
    message = _message()
    parsed = spectrum_pb2.Spectrum.FromString(_unpacked(message))
    assert list(parsed.channels[1].counts) == list(message.channels[0].counts)
    assert fingerprint(parsed) == fingerprint(message)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "name", "another"),
        lambda m: m.annotations.update({"observer": "nobody"}),
        lambda m: setattr(m.exposures[0], "name", "renamed"),
        lambda m: setattr(m, "plasma_model", spectrum_pb2.PLASMA_MODEL_ISOTHERMAL),
        lambda m: m.channels[0].counts.__setitem__(1, float("nan")),
        lambda m: m.channels[0].background.__setitem__(1, 7.0),
        lambda m: m.channels[0].background.__setitem__(1, -0.0),
        lambda m: setattr(m.channels[0], "mask", b"\x07\x00"),
        lambda m: m.channels.append(m.channels.pop(0)),
    ],
    ids=[
        "name",
        "annotations",
        "exposure name",
        "default plasma model",
        "masked counts",
        "masked background",
        "sign of zero",
        "spelling of the mask",
        "order of channels",
    ],
)
def test_what_is_no_data_does_not_change_the_fingerprint(change):
    message = _message()
    change(message)
    assert fingerprint(message) == fingerprint(_message())


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "target", "capella2"),
        lambda m: setattr(m, "instrument", "chandra-meg"),
        lambda m: setattr(m, "source", spectrum_pb2.SOURCE_KIND_RESOLVED),
        lambda m: setattr(m, "distance_pc", 13.0),
        lambda m: setattr(m, "plasma_model", spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM),
        lambda m: setattr(m.exposures[0], "seconds", 11.0),
        lambda m: setattr(m.exposures[0].start, "seconds", 936_000_001),
        lambda m: m.channels[0].counts.__setitem__(0, 4.0),
        lambda m: m.channels[0].area_exposure.__setitem__(0, 101.0),
        lambda m: m.channels[0].wavelength_edges.__setitem__(0, 10.9),
        lambda m: m.channels[0].background_scale.__setitem__(0, 11.0),
        lambda m: setattr(m.channels[0], "mask", b"\x01\x01"),
        lambda m: setattr(m.channels[0], "line_width", 0.05),
        lambda m: setattr(m.channels[0], "statistic", spectrum_pb2.STATISTIC_FLUX),
        lambda m: m.channels[0].ClearField("background"),
    ],
)
def test_whatever_can_change_the_answer_changes_the_fingerprint(change):
    message = _message()
    change(message)
    assert fingerprint(message) != fingerprint(_message())


def test_values_cannot_wander_between_neighbouring_fields():
    one, other = _message(), _message()
    one.target, one.instrument = "ab", "c"
    other.target, other.instrument = "a", "bc"
    assert fingerprint(one) != fingerprint(other)


def test_result_ids_follow_the_data_and_the_versions():
    versions = posterior_pb2.ModelVersions(software="0.1.0", emissivity_table="a", network="b")
    newer = posterior_pb2.ModelVersions(software="0.1.0", emissivity_table="a", network="c")
    result_id = single_result_id("f" * 64, versions)
    assert result_id == single_result_id("f" * 64, versions)
    assert len(result_id) == 32
    assert len({result_id, single_result_id("f" * 64, newer), single_result_id("e" * 64, versions)}) == 3


def test_a_joint_result_does_not_depend_on_the_order_of_its_epochs():
    versions = posterior_pb2.ModelVersions(software="0.1.0")
    joint = joint_result_id("capella", ["b", "a", "a"], versions)
    assert joint == joint_result_id("capella", ["a", "b"], versions)
    assert joint != joint_result_id("capella", ["a"], versions)
    assert joint_result_id("capella", ["a"], versions) != single_result_id("a", versions)


def test_the_random_seed_is_the_ids_own():
    assert random_seed("00ff") == random_seed("00ff")
    assert random_seed("00ff") != random_seed("00fe")
    assert 0 <= random_seed("00ff") < 2**31
