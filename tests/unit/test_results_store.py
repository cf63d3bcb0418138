"""The results store keeps every result once, whatever arrives in whatever order, on both databases."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coronium.results.database import open_engine
from coronium.results.models import Result, StoredDeadLetter
from coronium.results.queries import Queries
from coronium.results.records import InvalidRecord, Record, entry
from coronium.results.store import Outcome, Store
from coronium.v1 import posterior_pb2, results_pb2, spectrum_pb2
from tests.unit.posterior_factory import dead_letter, joint, observation, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]

EVERYTHING = results_pb2.ResultFilter(include_superseded=True)


def write(engine: Engine, *records: Record) -> list[Outcome]:
    return Store(engine).write([entry(record) for record in records])


def standing(engine: Engine) -> dict[str, str | None]:
    with Session(engine) as session:
        return dict(session.execute(select(Result.result_id, Result.superseded_by)).all())


def stored(engine: Engine, result_id: str) -> posterior_pb2.Posterior:
    found = Queries(engine).get(result_id)
    assert found is not None
    return posterior_pb2.Posterior.FromString(found.message)


def test_a_posterior_comes_back_as_it_was_sent(engine: Engine) -> None:
    sent = posterior()
    assert write(engine, sent) == [Outcome.STORED]
    assert stored(engine, sent.result_id) == sent


def test_the_same_posterior_twice_is_one_result(engine: Engine) -> None:
    sent = posterior()
    assert write(engine, sent, sent) == [Outcome.STORED, Outcome.DUPLICATE]
    assert write(engine, sent) == [Outcome.DUPLICATE]
    assert Queries(engine).results(EVERYTHING, 0, "").total == 1


def test_a_rerun_of_the_same_fit_changes_nothing(engine: Engine) -> None:
    first, rerun = posterior(fitted_hours=2.0), posterior(fitted_hours=9.0)
    assert first.result_id == rerun.result_id
    write(engine, first, rerun)
    assert stored(engine, first.result_id) == first


@pytest.mark.parametrize("order", range(24))
def test_an_old_fit_that_is_replayed_later_stays_old_whatever_the_order(engine: Engine, order: int) -> None:
    old = posterior(priors="default-1", fitted_hours=2.0)
    new = posterior(priors="default-2", fitted_hours=4.0)
    # The old models once more, twice, after the new ones.
    again = [posterior(priors="default-1", fitted_hours=hours) for hours in (6.0, 8.0)]
    for record in arrivals([old, new, *again])[order]:
        write(engine, record)
    assert standing(engine) == {old.result_id: new.result_id, new.result_id: None}
    assert stored(engine, old.result_id) == old
    both = Queries(engine).results(EVERYTHING, 0, "")
    assert both.total == 2
    assert Queries(engine).results(results_pb2.ResultFilter(), 0, "").total == 1


@pytest.mark.parametrize("order", range(24))
def test_what_a_rerun_had_replaced_is_current_again_once_the_first_fit_comes(engine: Engine, order: int) -> None:
    first, rerun = (joint(seeds=(0, 1), priors="default-1", fitted_hours=hours) for hours in (2.0, 9.0))
    middle = joint(seeds=(0, 1), priors="default-2", fitted_hours=4.0)
    more = joint(seeds=(0, 1, 2), priors="default-1", fitted_hours=1.0)
    for record in arrivals([first, rerun, middle, more])[order]:
        write(engine, record)
    assert standing(engine)[more.result_id] is None
    assert standing(engine)[first.result_id] == standing(engine)[middle.result_id] == more.result_id
    assert stored(engine, first.result_id).fitted_at == first.fitted_at


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_full_answer_replaces_triage_of_the_same_id(engine: Engine, order: tuple[int, int]) -> None:
    answers = (posterior(triage=True, fitted_hours=5.0), posterior(fitted_hours=2.0))
    assert answers[0].result_id == answers[1].result_id
    for index in order:
        write(engine, answers[index])
    assert stored(engine, answers[1].result_id) == answers[1]
    assert standing(engine) == {answers[1].result_id: None}


def arrivals(records: Iterable[posterior_pb2.Posterior]) -> list[tuple[posterior_pb2.Posterior, ...]]:
    return list(itertools.permutations(records))


@pytest.mark.parametrize("order", range(6))
def test_of_results_of_one_spectrum_the_latest_full_fit_is_current(engine: Engine, order: int) -> None:
    old = posterior(priors="default-1", fitted_hours=2.0)
    new = posterior(priors="default-2", fitted_hours=4.0)
    triage = posterior(priors="default-3", fitted_hours=8.0, triage=True)
    for record in arrivals([old, new, triage])[order]:
        write(engine, record)
    assert standing(engine) == {old.result_id: new.result_id, new.result_id: None, triage.result_id: new.result_id}


@pytest.mark.parametrize("order", range(6))
def test_a_superset_supersedes_its_subset_whatever_the_order(engine: Engine, order: int) -> None:
    two, three, four = (joint(seeds=range(count), fitted_hours=10.0 - count) for count in (2, 3, 4))
    for record in arrivals([two, three, four])[order]:
        write(engine, record)
    assert standing(engine) == {two.result_id: four.result_id, three.result_id: four.result_id, four.result_id: None}


@pytest.mark.parametrize("order", range(2))
def test_joint_results_that_only_overlap_stand_side_by_side(engine: Engine, order: int) -> None:
    left, right = joint(seeds=(0, 1)), joint(seeds=(1, 2))
    for record in arrivals([left, right])[order]:
        write(engine, record)
    assert standing(engine) == {left.result_id: None, right.result_id: None}


@pytest.mark.parametrize("order", range(2))
def test_a_triage_superset_does_not_replace_a_full_answer(engine: Engine, order: int) -> None:
    full, triage = joint(seeds=(0, 1)), joint(seeds=(0, 1, 2), triage=True)
    for record in arrivals([full, triage])[order]:
        write(engine, record)
    assert standing(engine) == {full.result_id: None, triage.result_id: None}


def test_a_joint_result_does_not_replace_those_of_its_epochs(engine: Engine) -> None:
    single, both = posterior(), joint(seeds=(0, 1))
    write(engine, single, both)
    assert standing(engine) == {single.result_id: None, both.result_id: None}


def test_results_of_different_targets_never_meet(engine: Engine) -> None:
    first, second = joint("capella", seeds=(0, 1)), joint("procyon", seeds=(0, 1, 2))
    write(engine, first, second)
    assert standing(engine) == {first.result_id: None, second.result_id: None}


def test_an_observation_is_stored_once_and_found_by_its_fingerprint(engine: Engine) -> None:
    sent = observation()
    assert write(engine, sent, sent) == [Outcome.STORED, Outcome.DUPLICATE]
    message = Queries(engine).observation(sent.fingerprint)
    assert message is not None
    assert spectrum_pb2.Observation.FromString(message) == sent


def test_a_dead_letter_is_one_by_its_coordinates(engine: Engine) -> None:
    first, other = dead_letter(offset=7), dead_letter(offset=8)
    assert write(engine, first, first, other) == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED]
    assert Queries(engine).dead_letters("fitting", 0, "").total == 2
    assert Queries(engine).dead_letters("ingestion", 0, "").total == 0


def test_the_later_attempt_tells_the_dead_letter(engine: Engine) -> None:
    early, late = dead_letter(detail="first"), dead_letter(detail="second")
    late.failed_at.seconds += 60
    for record in (late, early):
        write(engine, record)
    assert Queries(engine).dead_letter_detail(observation().fingerprint) == ("fitting", "second")


@pytest.mark.parametrize("order", range(2))
def test_a_result_beats_a_dead_letter_of_the_same_spectrum(engine: Engine, order: int) -> None:
    records: list[Record] = [posterior(), dead_letter()]
    for record in (records, records[::-1])[order]:
        write(engine, record, dead_letter(seed=1, offset=99))
    letters = Queries(engine).dead_letters("", 0, "")
    assert letters.total == 1
    assert dead_letter(seed=1, offset=99).SerializeToString() in letters.messages
    with Session(engine) as session:
        kept = session.execute(select(StoredDeadLetter.resolved_by).order_by(StoredDeadLetter.source_offset))
        assert kept.scalars().all() == [posterior().result_id, None]


@pytest.mark.parametrize(
    ("stage", "value"),
    [
        ("ingestion", observation().spectrum.SerializeToString()),
        ("extraction", observation().SerializeToString()),
    ],
)
def test_a_dead_letter_of_every_stage_is_tied_to_its_spectrum(engine: Engine, stage: str, value: bytes) -> None:
    write(engine, dead_letter(stage=stage, value=value), posterior())
    assert Queries(engine).dead_letters(stage, 0, "").total == 0


def test_a_dead_letter_of_garbage_is_stored_all_the_same(engine: Engine) -> None:
    letter = dead_letter(value=b"\xff\x00garbage", detail="not a message: \0")
    assert write(engine, letter) == [Outcome.STORED]
    assert Queries(engine).dead_letters("", 0, "").messages == [letter.SerializeToString()]


def test_a_batch_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    good, bad = entry(posterior(seeds=(0,))), entry(posterior(seeds=(1,)))
    bad.row["target"] = None
    with pytest.raises(Exception, match="target"):
        Store(engine).write([good, bad])
    assert Queries(engine).results(EVERYTHING, 0, "").total == 0


def spoilt(**fields: object) -> posterior_pb2.Posterior:
    message = posterior()
    for field, value in fields.items():
        setattr(message, field, value)
    return message


def test_what_cannot_be_stored_is_said_in_a_sentence() -> None:
    ragged = posterior()
    ragged.draws.values.append(1.0)
    two = posterior()
    two.fingerprints.append("f")
    late = posterior()
    late.fitted_at.seconds = 2**60
    for record in (spoilt(result_id=""), spoilt(target=""), spoilt(kind=0), spoilt(name="a\0b"), ragged, two, late):
        with pytest.raises(InvalidRecord, match=r"\.$"):
            entry(record)


def test_a_median_that_is_no_number_is_stored_without_a_column(engine: Engine) -> None:
    message = posterior()
    for summary in message.parameters:
        summary.median = float("nan")
    write(engine, message)
    with Session(engine) as session:
        assert session.execute(select(Result.log_temperature, Result.log_density)).one() == (None, None)


def test_replicas_that_store_at_once_agree_on_what_is_current(database_url: str) -> None:
    joints = [joint(seeds=range(count)) for count in range(2, 8)]
    failures: list[BaseException] = []

    def replica(records: list[posterior_pb2.Posterior]) -> None:
        own = open_engine(database_url)
        try:
            for record in records:
                write(own, record, posterior(seeds=(len(record.fingerprints),)))
        except BaseException as error:
            failures.append(error)
        finally:
            own.dispose()

    threads = [threading.Thread(target=replica, args=(joints[start::2],)) for start in (0, 1)]
    threads += [threading.Thread(target=replica, args=(joints[::-1],))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    engine = open_engine(database_url)
    by = standing(engine)
    assert {result_id for result_id, replaced in by.items() if replaced is None} == {
        joints[-1].result_id,
        *(posterior(seeds=(count,)).result_id for count in range(2, 8)),
    }
    assert {by[record.result_id] for record in joints[:-1]} == {joints[-1].result_id}
    engine.dispose()
