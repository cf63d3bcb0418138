"""Yesterday's software reads today's messages, today's reads yesterday's and tomorrow's, and what it does not know it
passes on. What it must not guess at is a dead letter."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message
from sqlalchemy import create_engine

from coronium.contract.headers import SCHEMA_VERSION_HEADER
from coronium.contract.identity import fingerprint
from coronium.contract.topics import FEATURES, OBSERVATIONS, POSTERIORS, SPECTRA, Topic, TopicNames
from coronium.extraction.settings import ExtractionSettings
from coronium.extraction.stage import ExtractionStage
from coronium.extraction.worker import _extracted
from coronium.fitting.jobs import Fitted
from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.ingestion.canonicalise import canonical
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.stage import IngestionStage
from coronium.results.records import entry
from coronium.results.stage import ResultsStage
from coronium.runtime.outcomes import SetAside
from coronium.runtime.settings import LoopSettings
from coronium.runtime.settle import Settler
from coronium.runtime.stage import Incoming, Stage
from coronium.v1 import dead_letter_pb2, epoch_pb2, features_pb2, posterior_pb2, spectrum_pb2
from tests._shared import REPOSITORY
from tests.golden.make import golden

GOLDEN = REPOSITORY / "tests" / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.binpb"))
PIXEL = "e1c2b314ad285d71025e43960a3dedce86db4cb966dd605a0d105179e2828290"
STAR = "6e375d3679841b6ab85bc77b460f5dc1fddb7df377d6c9be448ad09173d0d9be"
"""Fingerprints of the golden spectra: were they others, everything ever published would be new."""
ADDED = 2000
"""Number of the field that tomorrow's messages have beside today's."""


def released() -> descriptor_pb2.FileDescriptorSet:
    """Return the schema of the last release."""
    return descriptor_pb2.FileDescriptorSet.FromString((REPOSITORY / "protos" / "released" / "v1.binpb").read_bytes())


def pool_of(files: descriptor_pb2.FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    """Return a pool of descriptors that knows nothing of the generated code."""
    pool = descriptor_pool.DescriptorPool()
    waiting = {file.name: file for file in files.file}
    if timestamp_pb2.DESCRIPTOR.name not in waiting:
        pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    known = {timestamp_pb2.DESCRIPTOR.name} - waiting.keys()
    while waiting:
        ready = next(file for file in waiting.values() if not set(file.dependency) - known)
        pool.AddSerializedFile(ready.SerializeToString())
        known.add(ready.name)
        del waiting[ready.name]
    return pool


def tomorrow() -> descriptor_pb2.FileDescriptorSet:
    """Return the schema with another field in every message, and another value in every enumeration."""
    files = released()
    for file in files.file:
        if not file.name.startswith("coronium/"):
            continue
        for enum in file.enum_type:
            enum.value.add(name=f"{enum.value[0].name}_LATER", number=77)
        for message in file.message_type:
            message.field.add(
                name="added_later",
                number=ADDED,
                type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
                label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            )
    return files


YESTERDAY, TOMORROW = pool_of(released()), pool_of(tomorrow())


def kind(pool: descriptor_pool.DescriptorPool, message: Message) -> type[Message]:
    """Return the class of a message as another version of the schema has it."""
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(message.DESCRIPTOR.full_name))


def words(message: Message) -> str:
    return MessageToJson(message, preserving_proto_field_name=True, sort_keys=True)


def with_later_fields(message: Message) -> Message:
    """Return the message as tomorrow's producer writes it: with the new field wherever there is one."""
    later = kind(TOMORROW, message).FromString(message.SerializeToString())

    def fill(part: Message) -> None:
        for field, value in part.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            for inner in value if field.is_repeated else [value]:
                fill(inner)
        if "added_later" in part.DESCRIPTOR.fields_by_name:
            part.added_later = f"of {part.DESCRIPTOR.name}"  # type: ignore[attr-defined]

    fill(later)
    return later


def test_every_message_that_travels_has_golden_bytes() -> None:
    assert set(NAMES) == golden().keys()


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_say_what_they_said(name: str) -> None:
    data, said = (GOLDEN / f"{name}.binpb").read_bytes(), (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    kind_of = type(golden()[name])
    message = kind_of.FromString(data)
    assert words(message) + "\n" == said
    assert message == Parse(said, kind_of())
    # The same bytes again, field by field: what a compacted topic and the store compare.
    assert message.SerializeToString(deterministic=True) == data


def test_the_fingerprint_of_golden_bytes_is_what_it_was() -> None:
    pixel = spectrum_pb2.Spectrum.FromString((GOLDEN / "spectrum-pixel.binpb").read_bytes())
    star = spectrum_pb2.Spectrum.FromString((GOLDEN / "spectrum-star.binpb").read_bytes())
    assert [fingerprint(pixel), fingerprint(star)] == [PIXEL, STAR]


@pytest.mark.parametrize("name", NAMES)
def test_yesterdays_consumer_reads_todays_producer_and_the_other_way_round(name: str) -> None:
    today = golden()[name]
    old = kind(YESTERDAY, today).FromString(today.SerializeToString())
    known = {field.number for field in old.DESCRIPTOR.fields}
    assert known <= set(today.DESCRIPTOR.fields_by_number)
    again = type(today).FromString(old.SerializeToString())
    assert again == today


@pytest.mark.parametrize("name", NAMES)
def test_tomorrows_fields_are_passed_over_and_passed_on(name: str) -> None:
    today = golden()[name]
    later = with_later_fields(today)
    read = type(today).FromString(later.SerializeToString())
    assert words(read) == words(today)
    assert kind(TOMORROW, today).FromString(read.SerializeToString()) == later


def test_a_value_that_an_enumeration_gets_tomorrow_is_kept_as_its_number() -> None:
    posterior = golden()["posterior"]
    assert isinstance(posterior, posterior_pb2.Posterior)
    later = kind(TOMORROW, posterior).FromString(posterior.SerializeToString())
    later.rung = 77  # type: ignore[attr-defined]
    later.flags.append(77)  # type: ignore[attr-defined]
    read = posterior_pb2.Posterior.FromString(later.SerializeToString())
    assert (read.rung, list(read.flags)) == (77, [77])
    row = entry(read).row
    assert (row["rung"], row["flags"], row["complete"]) == ("77", ["77"], False)
    assert kind(TOMORROW, posterior).FromString(row["message"]) == later


def test_what_an_observation_gets_tomorrow_survives_features_and_epochs() -> None:
    observation = golden()["observation"]
    assert isinstance(observation, spectrum_pb2.Observation)
    later = with_later_fields(observation)
    today = spectrum_pb2.Observation.FromString(later.SerializeToString())
    features = _extracted(today, None, 0.0).features
    seen = kind(TOMORROW, features_pb2.Features()).FromString(features)
    assert seen.observation == later  # type: ignore[attr-defined]

    stage = FittingStage(FittingSettings())
    incoming = record(FEATURES, features)
    fitted = Fitted(
        *(golden()["posterior"].SerializeToString(), "capella", "0" * 64, "1" * 32, "chandra-letg", "mode"),
        flags=(),
        constraints={},
        numbers={},
        identified_lines=0,
    )
    _, epoch = stage.encode(incoming, stage.decode(incoming), fitted)
    remembered = kind(TOMORROW, epoch_pb2.EpochRecord()).FromString(epoch.value or b"")
    assert remembered.features.observation == later  # type: ignore[attr-defined]


def test_a_spectrum_loses_unknown_fields_where_it_gets_its_name() -> None:
    # The fingerprint covers what is known: what it does not cover must not travel under it.
    later = with_later_fields(golden()["spectrum-pixel"])
    made = canonical(spectrum_pb2.Spectrum.FromString(later.SerializeToString()))
    again = kind(TOMORROW, made).FromString(made.SerializeToString())
    assert not again.added_later  # type: ignore[attr-defined]
    assert fingerprint(made) == fingerprint(spectrum_pb2.Spectrum.FromString(later.SerializeToString()))


def record(topic: Topic, value: bytes, **headers: bytes) -> Incoming:
    named = {name.replace("_", "-"): held for name, held in headers.items()}
    return Incoming(TopicNames().name(topic), 0, 0, b"sun", value, named, 1.7e9)


@pytest.mark.parametrize(
    ("stage", "topic", "name"),
    [
        (IngestionStage(RecentFingerprints(10)), SPECTRA, "spectrum-pixel"),
        (ExtractionStage(ExtractionSettings()), OBSERVATIONS, "observation"),
        (FittingStage(FittingSettings()), FEATURES, "features"),
        (ResultsStage(create_engine("sqlite://"), TopicNames()), POSTERIORS, "posterior"),
    ],
)
@pytest.mark.parametrize("version", [b"2", b"0", b"1.5", b"", b"\xff", b"9" * 5000])
def test_an_unknown_version_is_a_dead_letter_at_every_stage(
    stage: Stage, topic: Topic, name: str, version: bytes
) -> None:
    settler = Settler(stage, LoopSettings(), *[None] * 4, asyncio.Event())  # type: ignore[arg-type]
    value = (GOLDEN / f"{name}.binpb").read_bytes()
    _, job = settler._decode(record(topic, value, **{SCHEMA_VERSION_HEADER: version}), 1)
    assert isinstance(job, SetAside)
    assert job.reason == dead_letter_pb2.DEAD_LETTER_REASON_UNKNOWN_SCHEMA
    assert "this software knows 1" in job.detail
    for good in ({SCHEMA_VERSION_HEADER: b"1"}, {}):
        _, job = settler._decode(record(topic, value, **good), 1)
        assert not isinstance(job, SetAside), job
