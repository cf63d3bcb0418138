"""The decoders of the stages, and what they are made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, Message
from sqlalchemy import create_engine

from coronium.client.reading import draws_array, read_dead_letter, read_result
from coronium.contract.conversion import InvalidSpectrum, spectrum_from_message, spectrum_to_message
from coronium.contract.headers import Headers, UnknownSchema, envelope_problem
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_DEAD_LETTER_BYTES
from coronium.contract.topics import (
    DEAD_LETTERS,
    FEATURES,
    OBSERVATIONS,
    POSTERIORS,
    SPECTRA,
    StageName,
    Topic,
    TopicNames,
)
from coronium.contract.wire import read_message
from coronium.extraction.settings import ExtractionSettings
from coronium.extraction.stage import ExtractionStage
from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.gateway import answers
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.stage import IngestionStage
from coronium.results.stage import ResultsStage
from coronium.runtime.control import read_desired
from coronium.runtime.dead_letters import dead_letter
from coronium.runtime.stage import Incoming, Rejected, Stage
from coronium.v1 import control_pb2, dead_letter_pb2, epoch_pb2, posterior_pb2, results_pb2, spectrum_pb2
from tests.fuzz import seeds
from tests.fuzz.mutators import mutant, mutated_headers
from tests.fuzz.target import PASSED, REFUSED, Target, joined, split

NAMES = TopicNames()
NOW = 1_700_000_000.0


def targets() -> list[Target]:
    """Return all targets of this file."""
    ingestion = IngestionStage(RecentFingerprints(100))
    results = ResultsStage(create_engine("sqlite://"), NAMES)
    return [
        _of("ingestion", "spectrum", _decode(ingestion, SPECTRA, _observed), 30_000),
        _of("extraction", "observation", _decode(ExtractionStage(ExtractionSettings()), OBSERVATIONS), 12_000),
        _of("fitting", "features", _decode(FittingStage(FittingSettings()), FEATURES), 12_000),
        _of("results-posteriors", "posterior", _decode(results, POSTERIORS, _shown), 8_000),
        _of("results-observations", "observation", _decode(results, OBSERVATIONS, _asked_for), 6_000),
        _of("results-dead-letters", "dead_letter", _decode(results, DEAD_LETTERS[StageName.FITTING], _listed), 6_000),
        _of("conversion", "spectrum", _converted, 6_000),
        _of("identity", "spectrum", _identified, 6_000),
        _of("epochs", "epoch", _read(epoch_pb2.EpochRecord), 2_000),
        _of("desired-state", "desired", _steered, 3_000),
        _of("replica-state", "replica", _read(control_pb2.ReplicaState), 1_000),
        Target("headers", _headers, _draw_headers, [joined([b"k", *_flat(Headers.new().encode())])], 6_000),
    ]


def _of(name: str, kind: str, run: Callable[[bytes], str], weight: int) -> Target:
    messages = seeds.messages()[kind]
    return Target(
        name, run, drawing(messages), [message.SerializeToString(deterministic=True) for message in messages], weight
    )


def drawing(messages: tuple[Message, ...]) -> Callable[[random.Random], bytes]:
    """Return what draws mutants of messages, with parts of all other messages in them."""
    others = [message.SerializeToString(deterministic=True) for kind in seeds.messages().values() for message in kind]
    return lambda random: mutant(random, random.choice(messages), others)


def incoming(topic: Topic, value: bytes, key: bytes = b"sun", headers: dict[str, bytes] | None = None) -> Incoming:
    """Return a record as the loop hands it to a stage."""
    return Incoming(NAMES.name(topic), 0, 7, key, value, headers or {}, NOW)


def _decode(
    stage: Stage[Any, Any], topic: Topic, then: Callable[[Incoming, Any], None] = lambda *_: None
) -> Callable[[bytes], str]:
    """Return what decodes a record as a stage does, and holds what was accepted against what it must be."""

    def run(data: bytes) -> str:
        record = incoming(topic, data)
        try:
            job = stage.decode(record)
        except Rejected as refusal:
            _is_a_sentence(refusal.detail)
            return REFUSED
        then(record, job)
        return PASSED

    return run


def _is_a_sentence(detail: str) -> None:
    if not detail.strip() or len(detail) > 2000:
        raise AssertionError(f"a refusal without a sentence: {detail[:100]!r}")


def _observed(record: Incoming, job: Any) -> None:
    """An observation has the fingerprint of its spectrum, whichever time it is made from it."""
    made = job.observation
    if made.fingerprint != fingerprint(made.spectrum):
        raise AssertionError("the observation has another fingerprint than its spectrum")
    spectrum_from_message(made.spectrum)


def _shown(record: Incoming, job: Any) -> None:
    """Whatever is stored can be shown by the client and by the gateway."""
    posterior = read_message(posterior_pb2.Posterior, record.value)
    read_result(posterior).to_dict(True)
    draws_array([posterior.draws])
    answers.result_detail(results_pb2.GetResponse(posterior=posterior)).model_dump_json()
    answers.draw_table("id", [posterior.draws]).model_dump_json()


def _asked_for(record: Incoming, job: Any) -> None:
    observation = read_message(spectrum_pb2.Observation, record.value)
    read_result(seeds.posterior(), observation)


def _listed(record: Incoming, job: Any) -> None:
    letter = read_message(dead_letter_pb2.DeadLetter, record.value)
    read_dead_letter(letter)
    answers.dead_letter(letter).model_dump_json()


def _converted(data: bytes) -> str:
    try:
        spectrum = spectrum_from_message(read_message(spectrum_pb2.Spectrum, data))
    except (DecodeError, InvalidSpectrum):
        return REFUSED
    try:
        spectrum_to_message(spectrum)
    except InvalidSpectrum:
        # A time that no calendar has: ingestion's to refuse.
        return REFUSED
    return PASSED


def _identified(data: bytes) -> str:
    try:
        message = read_message(spectrum_pb2.Spectrum, data)
        spectrum_from_message(message)
    except (DecodeError, InvalidSpectrum):
        return REFUSED
    name = fingerprint(message)
    if name != fingerprint(spectrum_pb2.Spectrum.FromString(message.SerializeToString())):
        raise AssertionError("the fingerprint is another after serialisation")
    return PASSED


def _read(kind: type[Message]) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        try:
            read_message(kind, data)
        except DecodeError:
            return REFUSED
        return PASSED

    return run


def _steered(data: bytes) -> str:
    return REFUSED if read_desired(data) is None else PASSED


def _headers(data: bytes) -> str:
    key, *flat = split(data)
    headers = {name.decode(errors="replace"): value for name, value in zip(flat[::2], flat[1::2], strict=False)}
    record = incoming(SPECTRA, b"value", key, headers)
    letter = dead_letter(StageName.INGESTION, record, dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED, "No.", 1)
    if len(letter.value or b"") > MAX_DEAD_LETTER_BYTES:
        raise AssertionError("a dead letter too large for its topic")
    if problem := envelope_problem(key, headers):
        _is_a_sentence(problem)
        return REFUSED
    try:
        decoded = Headers.decode(headers, NOW)
    except UnknownSchema as problem:
        _is_a_sentence(str(problem))
        return REFUSED
    again = Headers.decode(decoded.following().encode(), NOW)
    if (again.trace_id, again.replay_id) != (decoded.trace_id, decoded.replay_id) or again.origin_at < 0:
        raise AssertionError("the headers change from stage to stage")
    return PASSED


def _draw_headers(random: random.Random) -> bytes:
    valid = Headers(trace_id="ab" * 16, produced_at=NOW, origin_at=NOW, replay_id="night").encode()
    key = random.choice((b"sun", b"", b"\xff", b"k" * 2000))
    return joined([key, *_flat(mutated_headers(random, valid))])


def _flat(headers: dict[str, bytes]) -> list[bytes]:
    return [part for name, value in headers.items() for part in (name.encode(), value)]
