"""Spectra travel as messages without loss, and broken ones are refused in one sentence."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coronium.contract.conversion import InvalidSpectrum, spectrum_from_message, spectrum_to_message
from coronium.physics.spectrum import Channel, SourceKind, Spectrum, Statistic
from coronium.v1 import spectrum_pb2

_FLOAT32 = st.floats(-(2.0**100), 2.0**100, width=32)


@st.composite
def spectra(draw):
    """Any spectrum of consistent shapes."""
    exposures = draw(st.integers(1, 3))

    def channel(index):
        bins = draw(st.integers(1, 5))
        shape = (exposures, bins)
        with_background = draw(st.booleans())
        cube = hnp.arrays(np.float32, shape, elements=_FLOAT32)
        return Channel(
            name=f"channel-{index}",
            wavelength_edges=np.cumsum(draw(hnp.arrays(np.float64, bins + 1, elements=st.floats(0.01, 5.0)))),
            counts=draw(cube),
            area_exposure=draw(cube),
            mask=draw(hnp.arrays(np.bool_, shape)),
            statistic=draw(st.sampled_from(Statistic)),
            background=draw(cube) if with_background else None,
            background_scale=draw(hnp.arrays(np.float32, exposures, elements=_FLOAT32)) if with_background else None,
            read_variance=draw(st.none() | cube),
            line_width=draw(st.floats(0.0, 1.0)),
        )

    return Spectrum(
        target=draw(st.text(max_size=20)),
        instrument=draw(st.text(max_size=10)),
        source=draw(st.sampled_from(SourceKind)),
        channels=tuple(channel(index) for index in range(draw(st.integers(1, 3)))),
        exposure_start=draw(hnp.arrays(np.float64, exposures, elements=st.just(0.0) | st.floats(2.0**24, 2.0**33))),
        exposure_seconds=draw(hnp.arrays(np.float64, exposures, elements=st.floats(0.0, 1e6))),
        distance_pc=draw(st.none() | st.floats(0.1, 1e4)),
        name=draw(st.text(max_size=10)),
        annotations=draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)),
    )


def _assert_equal(left, right):
    for field in dataclasses.fields(left):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if field.name == "channels":
            assert len(a) == len(b)
            for one, other in zip(a, b, strict=True):
                _assert_equal(one, other)
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b, field.name


@given(spectra())
@settings(max_examples=60, deadline=None)
def test_a_spectrum_survives_the_message_and_the_wire_exactly(spectrum):
    wire = spectrum_to_message(spectrum).SerializeToString()
    _assert_equal(spectrum_from_message(spectrum_pb2.Spectrum.FromString(wire)), spectrum)


def _message(exposures=2, bins=3):
    message = spectrum_pb2.Spectrum(target="capella", instrument="chandra-letg", source=spectrum_pb2.SOURCE_KIND_STAR)
    for _ in range(exposures):
        message.exposures.add(seconds=10.0)
    message.channels.add(
        name="letg-negative",
        wavelength_edges=np.linspace(11.0, 12.0, bins + 1),
        statistic=spectrum_pb2.STATISTIC_POISSON,
        counts=np.arange(exposures * bins),
        area_exposure=np.ones(exposures * bins),
    )
    return message


def test_an_absent_mask_means_that_every_bin_may_be_used():
    spectrum = spectrum_from_message(_message())
    assert spectrum.channels[0].mask.all()
    assert spectrum.channels[0].mask.shape == (2, 3)


def test_rows_are_exposures():
    np.testing.assert_array_equal(spectrum_from_message(_message()).channels[0].counts, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("counts", [1.0] * 5),
        ("counts", []),
        ("area_exposure", [1.0] * 7),
        ("background", [1.0]),
        ("background_scale", [1.0] * 3),
        ("read_variance", [1.0] * 3),
    ],
)
def test_a_length_that_is_not_the_declared_one_is_named(field, values):
    message = _message()
    message.channels[0].ClearField(field)
    getattr(message.channels[0], field).extend(values)
    with pytest.raises(InvalidSpectrum, match=rf"'letg-negative': {field} has {len(values)} values, expected"):
        spectrum_from_message(message)


def test_a_mask_of_another_length_is_refused():
    message = _message()
    message.channels[0].mask = b"\x01"
    with pytest.raises(InvalidSpectrum, match="mask has 1 bytes, expected 6"):
        spectrum_from_message(message)


def test_a_channel_without_bins_is_refused():
    message = _message()
    message.channels[0].wavelength_edges[:] = [11.0]
    with pytest.raises(InvalidSpectrum, match="at least two wavelength_edges"):
        spectrum_from_message(message)


def test_what_is_not_specified_is_asked_for():
    message = _message()
    message.source = spectrum_pb2.SOURCE_KIND_UNSPECIFIED
    with pytest.raises(InvalidSpectrum, match="source is not specified"):
        spectrum_from_message(message)
    message = _message()
    message.channels[0].statistic = 99
    with pytest.raises(InvalidSpectrum, match="statistic is not specified"):
        spectrum_from_message(message)


def test_arrays_of_the_wrong_shape_are_refused_before_they_are_sent():
    spectrum = spectrum_from_message(_message())
    channel = dataclasses.replace(spectrum.channels[0], counts=np.zeros((1, 3), np.float32))
    with pytest.raises(InvalidSpectrum, match=r"counts has shape \(1, 3\), expected \(2, 3\)"):
        spectrum_to_message(dataclasses.replace(spectrum, channels=(channel,)))
    with pytest.raises(InvalidSpectrum, match="exposure_start"):
        spectrum_to_message(dataclasses.replace(spectrum, exposure_start=np.zeros(1)))
