"""What ingestion refuses, why, and that it never does anything worse than refuse."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_EXPOSURES, MAX_SPECTRUM_BYTES
from coronium.ingestion.canonicalise import canonical, signal_to_noise
from coronium.ingestion.checks import check, parse
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.stage import IngestionStage
from coronium.physics.instruments.registry import get_instrument
from coronium.runtime.stage import Incoming, Rejected
from coronium.v1 import dead_letter_pb2, spectrum_pb2
from tests.unit.spectra import good_spectrum, spectrum_of_size

INVALID = dead_letter_pb2.DEAD_LETTER_REASON_INVALID
UNKNOWN_INSTRUMENT = dead_letter_pb2.DEAD_LETTER_REASON_UNKNOWN_INSTRUMENT


def _refusal(message):
    with pytest.raises(Rejected) as refused:
        check(parse(message.SerializeToString()))
    return refused.value


def test_a_good_spectrum_passes():
    check(good_spectrum())


def _first(message):
    return message.channels[0]


def _shift(message, by):
    edges = _first(message).wavelength_edges
    edges[:] = [edge + by for edge in edges]


def _squeeze(message, size):
    edges = _first(message).wavelength_edges
    edges[:] = [edges[0] + size * number for number in range(len(edges))]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: setattr(m, "target", ""), "target is empty"),
        (lambda m: setattr(m, "target", "capella*"), "is not a target name"),
        (lambda m: setattr(m, "target", "x" * 201), "is not a target name"),
        (lambda m: setattr(m, "target", "sun//x1"), "is not a target name"),
        (lambda m: setattr(m, "instrument", ""), "instrument is empty"),
        (lambda m: setattr(m, "name", "x" * 201), "printable characters"),
        (lambda m: setattr(m, "name", "two\nlines"), "printable characters"),
        (lambda m: setattr(m, "plasma_model", 9), "plasma_model 9 does not exist"),
        (lambda m: setattr(m, "distance_pc", -1.0), "distance_pc is -1"),
        (lambda m: setattr(m, "distance_pc", float("nan")), "distance_pc is nan"),
        (lambda m: m.annotations.update({"long": "x" * 5000}), "annotations"),
        (lambda m: m.annotations.update({str(i): "" for i in range(64)}), "65 annotations"),
        (lambda m: m.ClearField("exposures"), "0 exposures"),
        (lambda m: m.exposures.extend(MAX_EXPOSURES * [m.exposures[0]]), "257 exposures"),
        (lambda m: m.ClearField("channels"), "0 channels"),
        (lambda m: m.channels.append(m.channels[0]), "used twice"),
        (lambda m: _first(m).wavelength_edges.extend(np.linspace(300, 400, 40_000)), "at most 32768 bins"),
        (lambda m: setattr(m.exposures[0], "seconds", 0.0), "lasts 0.0 seconds"),
        (lambda m: setattr(m.exposures[0].start, "nanos", -1), "no valid time"),
        (lambda m: setattr(_first(m), "name", "unheard-of"), "is none of hinode-eis's"),
        (lambda m: setattr(_first(m), "line_width", 11.0), "line_width is 11 and"),
        (lambda m: setattr(_first(m), "statistic", 0), "statistic is not specified"),
        (lambda m: _first(m).counts.append(1.0), "counts has 5 values, expected 4"),
        (lambda m: _first(m).ClearField("wavelength_edges"), "at least two wavelength_edges"),
        (lambda m: _first(m).wavelength_edges.__setitem__(1, float("nan")), "not all finite"),
        (lambda m: _first(m).wavelength_edges.__setitem__(1, 186.0), "do not increase"),
        (lambda m: _first(m).wavelength_edges.__setitem__(0, 0.9), "give Angstrom within 1-400"),
        (lambda m: _first(m).wavelength_edges.__setitem__(4, 18700.0), "give Angstrom within 1-400"),
        (lambda m: _first(m).counts.__setitem__(2, float("inf")), "1 values of counts are not finite"),
        (lambda m: _first(m).counts.__setitem__(2, -100.0), "mask missing values"),
        (lambda m: _first(m).area_exposure.__setitem__(0, -1.0), "area_exposure are not finite or negative"),
        (lambda m: _first(m).read_variance.__setitem__(0, 0.0), "read_variance are not positive"),
        (lambda m: _first(m).ClearField("read_variance"), "read_variance is missing"),
        (lambda m: _first(m).background.extend([1.0] * 4), "background comes without background_scale"),
        (lambda m: _first(m).background_scale.append(10.0), "background_scale comes without background"),
        (lambda m: setattr(_first(m), "statistic", spectrum_pb2.STATISTIC_POISSON), "no whole numbers"),
        (lambda m: setattr(_first(m), "mask", b"\x00" * 4), "No bin is both unmasked and of positive"),
        (lambda m: _first(m).area_exposure.__setitem__(slice(None), [0.0] * 4), "No bin is both unmasked"),
        (lambda m: setattr(_first(m), "mask", b"\x01"), "mask has 1 bytes, expected 4"),
        (lambda m: setattr(m.exposures[0], "seconds", 1e300), "lasts 1e+300 seconds"),
        (lambda m: setattr(m.exposures[0], "seconds", 5e-324), "lasts 5e-324 seconds"),
        (lambda m: setattr(m, "distance_pc", 1e-300), "distance_pc is 1e-300"),
        (lambda m: _first(m).counts.__setitem__(0, 3e38), "counts are beyond 1e+12"),
        (lambda m: _first(m).area_exposure.__setitem__(0, 1e-45), "area_exposure are not within 1e-30 to 1e+15"),
        (lambda m: _first(m).area_exposure.__setitem__(0, 3e38), "area_exposure are not within 1e-30 to 1e+15"),
        (lambda m: _first(m).read_variance.__setitem__(0, 1e-45), "read_variance are not within 1e-37 to 1e+24"),
        (lambda m: _shift(m, 5.5), "are none of the instrument's, 186.378"),
        (lambda m: _squeeze(m, 1e-6), "are more than 2000 to a line of 0.0675 Angstrom"),
    ],
)
def test_each_fault_is_refused_with_its_own_sentence(change, sentence):
    message = good_spectrum()
    change(message)
    refused = _refusal(message)
    assert refused.reason == INVALID
    assert sentence in refused.detail
    assert refused.detail.endswith(".")


def _add_channel(message):
    """Add the window of Fe XII 192.4, with what the first one holds."""
    message.channels.append(message.channels[0])
    added = message.channels[-1]
    added.name = "fe-12-192"
    added.wavelength_edges[:] = [edge + 5.5 for edge in added.wavelength_edges]
    return added


def _poisson(message):
    channel = message.channels[0]
    channel.statistic = spectrum_pb2.STATISTIC_POISSON
    channel.counts[:] = [3.0, 8.0, 0.0, 1.0]
    channel.ClearField("read_variance")
    return message


def test_whole_counts_pass_as_poisson_and_negative_ones_do_not():
    message = _poisson(good_spectrum())
    check(message)
    message.channels[0].counts[1] = -1.0
    assert "negative, which counts cannot be" in _refusal(message).detail


def test_read_noise_contradicts_poisson():
    message = _poisson(good_spectrum())
    message.channels[0].read_variance[:] = [4.0] * 4
    assert "use COUNTS_WITH_READ_NOISE" in _refusal(message).detail


def test_a_background_needs_a_positive_scale():
    message = _poisson(good_spectrum())
    message.channels[0].background[:] = [1.0] * 4
    message.channels[0].background_scale[:] = [0.0]
    assert "give BACKSCAL" in _refusal(message).detail


@pytest.mark.parametrize("second", [None, 5.0])
def test_channels_share_their_background_regions(second):
    message = _poisson(good_spectrum())
    first = message.channels[0]
    first.background[:], first.background_scale[:] = [1.0] * 4, [10.0]
    check(message)
    _add_channel(message)
    check(message)
    message.channels[1].background_scale[:] = [second] if second else []
    if second is None:
        message.channels[1].ClearField("background")
    assert "differ in their background regions" in _refusal(message).detail


def test_anything_may_stand_in_masked_bins():
    message = good_spectrum()
    channel = message.channels[0]
    channel.mask = b"\x01\x00\x01\x01"
    channel.counts[1], channel.area_exposure[1], channel.read_variance[1] = -100.0, float("nan"), float("inf")
    check(message)
    clean = canonical(message).channels[0]
    assert (clean.counts[1], clean.area_exposure[1], clean.read_variance[1]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("line_width", [0.0, 0.05])
def test_an_unknown_instrument_is_refused_whatever_it_says_of_its_lines(line_width):
    message = good_spectrum()
    message.instrument = "my-rocket"
    message.channels[0].line_width = line_width
    refused = _refusal(message)
    assert refused.reason == UNKNOWN_INSTRUMENT
    assert "'my-rocket' is not known: the stream fits hinode-eis, chandra-letg, chandra-meg, euve" in refused.detail


def test_a_channel_that_the_instrument_lacks_is_refused_whatever_it_says_of_its_lines():
    message = good_spectrum()
    message.channels[0].name, message.channels[0].line_width = "fe-99", 0.05
    assert "'fe-99' is none of hinode-eis's: name it as there (ar-14-194, " in _refusal(message).detail


def test_a_line_width_passes_where_the_fit_can_come_to_it():
    message = good_spectrum()
    message.channels[0].line_width = 0.08
    check(message)
    message.channels[0].line_width = 0.5
    assert "line_width is 0.5 and the instrument's lines have 0.0675 Angstrom: give 0" in _refusal(message).detail


def test_channels_of_different_statistics_are_refused():
    message = good_spectrum()
    _add_channel(message).statistic = spectrum_pb2.STATISTIC_FLUX
    assert "different statistics (COUNTS_WITH_READ_NOISE, FLUX)" in _refusal(message).detail


def test_what_passes_can_be_laid_out_for_a_fit():
    from coronium.contract.conversion import spectrum_from_message, spectrum_to_message
    from coronium.physics.atomic.table import load_table
    from coronium.physics.instruments.registry import instrument_names
    from coronium.physics.observation_model import ModelCache
    from coronium.physics.simulator import empty_spectrum

    models = ModelCache(load_table())
    for name in instrument_names():
        instrument = get_instrument(name)
        message = spectrum_to_message(empty_spectrum(instrument))
        check(message)
        models.get(instrument, spectrum_from_message(message))


def test_a_known_instrument_says_what_its_sources_are():
    message = good_spectrum()
    message.source = spectrum_pb2.SOURCE_KIND_UNSPECIFIED
    check(message)
    assert message.source == spectrum_pb2.SOURCE_KIND_RESOLVED
    assert get_instrument("hinode-eis").source == "resolved"


def test_bytes_that_are_no_message_are_malformed():
    with pytest.raises(Rejected) as refused:
        parse(b"\xff\xff not protobuf")
    assert refused.value.reason == dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED


def test_a_spectrum_of_just_the_largest_size_passes():
    check(parse(spectrum_of_size(MAX_SPECTRUM_BYTES).SerializeToString()))


def test_one_byte_over_the_limit_is_too_large():
    with pytest.raises(Rejected) as refused:
        parse(bytes(MAX_SPECTRUM_BYTES + 1))
    assert refused.value.reason == dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE


def test_the_canonical_form_keeps_the_fingerprint_and_is_its_own_canonical_form():
    message = good_spectrum()
    message.channels.append(message.channels[0])
    message.channels[1].name = "ca-15-182"
    message.channels[1].wavelength_edges[:] = np.linspace(181.6, 182.0, 5)
    message.channels[0].mask = b"\x01\x00\x07\x01"
    clean = canonical(message)
    assert fingerprint(clean) == fingerprint(message)
    assert canonical(clean) == clean
    assert [channel.name for channel in clean.channels] == ["ca-15-182", "fe-12-187"]
    assert clean.plasma_model == spectrum_pb2.PLASMA_MODEL_ISOTHERMAL
    assert clean.channels[0].mask == b"\x01" * 4


def test_signal_to_noise_is_the_median_over_bins_with_signal():
    message = _poisson(good_spectrum())
    message.channels[0].counts[:] = [4.0, 16.0, 0.0, 100.0]
    assert signal_to_noise(check(message).channels) == pytest.approx(4.0)


def _ingest(value, timestamp=1.6e9):
    """Do everything ingestion does with a record."""
    stage = IngestionStage(RecentFingerprints(10))
    incoming = Incoming("coronium.spectra.v1", 0, 0, b"", value, {}, timestamp)
    try:
        job = stage.decode(incoming)
    except Rejected:
        return
    assert stage.encode(incoming, job, job)


@given(st.binary(max_size=300), st.floats())
@settings(max_examples=300, deadline=None)
def test_no_bytes_do_worse_than_being_refused(value, timestamp):
    _ingest(value, timestamp)


@given(st.randoms(use_true_random=False), st.integers(1, 8))
@settings(max_examples=400, deadline=None)
def test_no_damage_to_a_good_message_does_worse_than_being_refused(chance, strokes):
    value = bytearray(good_spectrum().SerializeToString())
    for _ in range(strokes):
        position = chance.randrange(len(value))
        match chance.randrange(3):
            case 0:
                value[position] = chance.randrange(256)
            case 1:
                del value[position]
            case 2:
                value.insert(position, chance.randrange(256))
    _ingest(bytes(value))


_SCALARS = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.floats(), st.text(max_size=5), st.binary(max_size=5), st.booleans()
)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_value_in_any_field_does_worse_than_being_refused(data):
    message = good_spectrum()
    for _ in range(data.draw(st.integers(1, 4))):
        part = (message, message.exposures[0], message.channels[0])[data.draw(st.integers(0, 2))]
        field = data.draw(st.sampled_from([field.name for field in part.DESCRIPTOR.fields]))
        if field in ("exposures", "channels", "annotations", "start"):
            continue
        value = data.draw(_SCALARS)
        try:
            if hasattr(getattr(part, field), "extend"):
                getattr(part, field).extend([value] * data.draw(st.integers(1, 3)))
            else:
                setattr(part, field, value)
        except (TypeError, ValueError):
            continue
    _ingest(message.SerializeToString())


def test_damage_does_reach_the_checks():
    """The property tests above would prove nothing if every damaged message passed, or none was parsed."""
    chance = random.Random(1)
    outcomes = set()
    for _ in range(300):
        value = bytearray(good_spectrum().SerializeToString())
        value[chance.randrange(len(value))] = chance.randrange(256)
        try:
            check(parse(bytes(value)))
            outcomes.add("passed")
        except Rejected as refused:
            outcomes.add(refused.reason)
    assert {"passed", INVALID, dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED} <= outcomes
