"""What becomes of a redriven record closes its dead letter, in whatever order they are stored, on both databases."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import Engine

from coronium.contract.headers import REPLAY_OF_HEADER, Headers, Place, digest
from coronium.results.queries import Queries
from coronium.results.records import Entry, Record, entry
from coronium.results.store import Store
from coronium.v1.dead_letter_pb2 import DeadLetter
from tests.unit.posterior_factory import dead_letter, observation, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]

SPECTRA, OBSERVATIONS, FEATURES, POSTERIORS = (
    f"coronium.{name}.v1" for name in ("spectra", "observations", "features", "posteriors")
)
GARBAGE = b"\xff nobody reads this"


def letter(stage: str, topic: str, offset: int, value: bytes = GARBAGE) -> DeadLetter:
    made = dead_letter(stage=stage, offset=offset, value=value)
    made.source_topic = topic
    return made


def after_replay(record: Record, topic: str, place: Place, copy: bytes = GARBAGE) -> Entry:
    """Return the entry of a record that follows from a replay."""
    trace = Headers("0" * 32, 1.0, 1.0, replay_id="night-3", replay_of=place, replay_digest=digest(copy))
    return entry(record, topic, trace)


def at(topic: str, offset: int) -> Place:
    return Place(topic, 3, offset)


def open_places(engine: Engine) -> list[tuple[str, str, int]]:
    letters = [DeadLetter.FromString(message) for message in Queries(engine).dead_letters("", 0, "").messages]
    return sorted((one.stage, one.source_topic, one.source_offset) for one in letters)


@pytest.mark.parametrize("order", range(2))
@pytest.mark.parametrize(
    ("stage", "topic"), [("ingestion", SPECTRA), ("extraction", OBSERVATIONS), ("fitting", FEATURES)]
)
def test_the_result_of_a_copy_closes_a_letter_that_nobody_could_read(
    engine: Engine, stage: str, topic: str, order: int
) -> None:
    entries = [
        entry(letter(stage, topic, 7)),
        after_replay(posterior(), POSTERIORS, at(topic, 7)),
    ]
    for one in entries[:: 1 - 2 * order]:
        Store(engine).write([one, entry(letter(stage, topic, 8))])
    assert open_places(engine) == [(stage, topic, 8)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_record_that_dies_again_and_again_is_open_once_and_closed_by_its_result(
    engine: Engine, order: tuple[int, ...]
) -> None:
    entries = [
        entry(letter("fitting", FEATURES, 7)),
        after_replay(letter("fitting", FEATURES, 12), "coronium.fitting.dead-letters.v1", at(FEATURES, 7)),
        after_replay(letter("fitting", FEATURES, 20), "coronium.fitting.dead-letters.v1", at(FEATURES, 12)),
        after_replay(posterior(), POSTERIORS, at(FEATURES, 20)),
    ]
    for index in order:
        if index != 3:
            Store(engine).write([entries[index]])
    assert open_places(engine) == [("fitting", FEATURES, 20)]
    Store(engine).write([entries[3]])
    assert open_places(engine) == []


def test_a_copy_that_dies_in_a_later_stage_is_open_there(engine: Engine) -> None:
    Store(engine).write(
        [
            entry(letter("ingestion", SPECTRA, 7)),
            after_replay(observation(), OBSERVATIONS, at(SPECTRA, 7)),
        ]
    )
    assert open_places(engine) == [("ingestion", SPECTRA, 7)], "an observation is no answer yet"
    Store(engine).write(
        [after_replay(letter("fitting", FEATURES, 30), "coronium.fitting.dead-letters.v1", at(SPECTRA, 7))]
    )
    assert open_places(engine) == [("fitting", FEATURES, 30)]


def test_what_results_itself_had_set_aside_is_closed_when_it_is_stored(engine: Engine) -> None:
    Store(engine).write(
        [
            entry(letter("results", OBSERVATIONS, 7)),
            entry(letter("extraction", OBSERVATIONS, 7)),
            entry(letter("results", POSTERIORS, 9)),
        ]
    )
    Store(engine).write([after_replay(observation(), OBSERVATIONS, at(OBSERVATIONS, 7))])
    assert open_places(engine) == [("extraction", OBSERVATIONS, 7), ("results", POSTERIORS, 9)]
    Store(engine).write([after_replay(posterior(), POSTERIORS, at(POSTERIORS, 9))])
    assert open_places(engine) == [("extraction", OBSERVATIONS, 7)]


def test_a_letter_of_a_schema_nobody_knew_names_its_first_in_the_original_headers(engine: Engine) -> None:
    again = letter("fitting", FEATURES, 12)
    again.headers[REPLAY_OF_HEADER] = str(at(FEATURES, 7)).encode()
    no_replay = Headers("0" * 32, 1.0, 1.0)
    Store(engine).write(
        [entry(letter("fitting", FEATURES, 7)), entry(again, "coronium.fitting.dead-letters.v1", no_replay)]
    )
    assert open_places(engine) == [("fitting", FEATURES, 12)]


def test_an_ordinary_result_closes_no_letter_it_does_not_know(engine: Engine) -> None:
    Store(engine).write(
        [entry(letter("fitting", FEATURES, 7)), entry(posterior(), POSTERIORS, Headers("0" * 32, 1.0, 1.0))]
    )
    assert open_places(engine) == [("fitting", FEATURES, 7)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_who_only_says_that_a_record_is_redriven_closes_no_letter_of_others(
    engine: Engine, order: tuple[int, ...]
) -> None:
    said = at(SPECTRA, 7)
    forged = letter("ingestion", SPECTRA, 50, b"a stranger's")
    of_no_schema = letter("ingestion", SPECTRA, 60, b"a stranger's")
    of_no_schema.headers[REPLAY_OF_HEADER] = str(said).encode()
    topic = "coronium.ingestion.dead-letters.v1"
    entries = [
        entry(letter("ingestion", SPECTRA, 7)),
        after_replay(posterior(), POSTERIORS, said, b"a stranger's"),
        after_replay(forged, topic, said, b"a stranger's"),
        entry(of_no_schema, topic, Headers("0" * 32, 1.0, 1.0)),
    ]
    for index in order:
        Store(engine).write([entries[index]])
    assert open_places(engine) == [("ingestion", SPECTRA, offset) for offset in (7, 50, 60)]
    # Nor does it stand in the way of the true copy.
    Store(engine).write([after_replay(letter("fitting", FEATURES, 30), "coronium.fitting.dead-letters.v1", said)])
    assert ("ingestion", SPECTRA, 7) not in open_places(engine)


def test_a_letter_of_another_record_in_the_same_place_stands_for_itself(engine: Engine) -> None:
    first, second = letter("fitting", FEATURES, 7), letter("fitting", FEATURES, 7, b"\xff another log's record")
    second.failed_at.FromSeconds(first.failed_at.seconds + 60)
    Store(engine).write([entry(first)])
    Store(engine).write([after_replay(posterior(), POSTERIORS, at(FEATURES, 7))])
    assert open_places(engine) == []
    # The log lost its end, and was written on.
    Store(engine).write([entry(second)])
    assert open_places(engine) == [("fitting", FEATURES, 7)]
    assert DeadLetter.FromString(Queries(engine).dead_letters("", 0, "").messages[0]).value == second.value
    Store(engine).write([entry(first)])
    assert DeadLetter.FromString(Queries(engine).dead_letters("", 0, "").messages[0]).value == second.value
