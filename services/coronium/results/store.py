"""Writing to the results store: idempotent, and the same whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, and_, or_, select, update
from sqlalchemy.orm import Session

from coronium.results.dead_letters import answer, close, write_dead_letter
from coronium.results.models import Change, Result, ResultEpoch, StoredObservation
from coronium.results.offsets import Partition, advance
from coronium.results.records import Entry, Table
from coronium.results.supersession import Standing, supersedes
from coronium.results.upsert import insert

CHANGES = "results"


class Outcome(StrEnum):
    """What became of an entry."""

    STORED = "stored"
    # The full answer took the place of a triage result with the same id, or an earlier fit that of its rerun.
    REPLACED = "replaced"
    DUPLICATE = "duplicate"


class Store:
    """Writes messages in transactions that follow one another, across all replicas.

    Parameters
    ----------
    engine : Engine
        Of a database with the current schema.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(
        self,
        entries: Sequence[Entry],
        offsets: Mapping[Partition, int] | None = None,
        known: Mapping[Partition, int] | None = None,
    ) -> list[Outcome]:
        """Store a batch in one transaction: all of it or, when this raises, nothing.

        Parameters
        ----------
        entries : sequence of Entry
        offsets, known : mapping of (topic, partition) to int, optional
            How far Kafka is stored with these entries, and was before; see `coronium.results.offsets.advance`.

        Returns
        -------
        list of Outcome
            In the order of `entries`.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            The database refused, or did not answer.
        Receded
            The database is behind `known`.
        """
        with Session(self._engine) as session, session.begin():
            # First of all: whoever holds this row's lock is the only writer until the commit.
            last = session.execute(
                update(Change)
                .where(Change.name == CHANGES)
                .values(number=Change.number + len(entries))
                .returning(Change.number)
            ).scalar_one()
            advance(session, offsets or {}, known or {})
            now = datetime.now(UTC)
            first = last - len(entries) + 1
            return [_write(session, entry, now, first + index) for index, entry in enumerate(entries)]


def _write(session: Session, entry: Entry, now: datetime, change: int) -> Outcome:
    row = {**entry.row, "stored_at": now}
    if entry.closing is not None:
        close(session, entry.closing)
    match entry.table:
        case Table.POSTERIORS:
            return _write_result(session, row, entry.fingerprints, change)
        case Table.OBSERVATIONS:
            insertion = insert(session, StoredObservation).values(row).on_conflict_do_nothing()
            written = session.execute(insertion.returning(StoredObservation.fingerprint)).first()
            return Outcome.STORED if written else Outcome.DUPLICATE
        case Table.DEAD_LETTERS:
            return Outcome.STORED if write_dead_letter(session, row, change) else Outcome.DUPLICATE


def _write_result(session: Session, row: dict[str, Any], fingerprints: frozenset[str], change: int) -> Outcome:
    insertion = insert(session, Result).values(**row, position=change, sequence=change)
    replaced = {column: insertion.excluded[column] for column in (*row, "sequence") if column != "result_id"}
    # A rerun of the same fit says the same again: the first fit counts, whichever comes first. The full answer
    # replaces a triage result.
    fuller = and_(insertion.excluded.complete, ~Result.complete)
    earlier = and_(insertion.excluded.complete == Result.complete, insertion.excluded.fitted_at < Result.fitted_at)
    upsert = insertion.on_conflict_do_update(
        index_elements=[Result.result_id],
        set_={**replaced, "superseded_by": None},
        where=or_(fuller, earlier),
    ).returning(Result.position)
    position = session.execute(upsert).scalar()
    if position is None:
        return Outcome.DUPLICATE
    epochs = [{"result_id": row["result_id"], "fingerprint": fingerprint} for fingerprint in sorted(fingerprints)]
    session.execute(insert(session, ResultEpoch).on_conflict_do_nothing(), epochs)
    freed = _free(session, row["result_id"]) if position != change else []
    new = Standing(row["result_id"], fingerprints, row["complete"], row["fitted_at"])
    for standing in (new, *freed):
        _settle(session, row["target"], row["kind"], standing)
    if row["kind"] == "single":
        answer(session, fingerprints, row["result_id"])
    return Outcome.STORED if position == change else Outcome.REPLACED


def _free(session: Session, result_id: str) -> list[Standing]:
    """Make current again what a result had replaced, because its standing has changed; return these."""
    freed = session.execute(
        update(Result)
        .where(Result.superseded_by == result_id)
        .values(superseded_by=None)
        .returning(Result.result_id, Result.complete, Result.fitted_at)
    ).all()
    return _standings(session, [(row.result_id, row.complete, row.fitted_at) for row in freed])


def _settle(session: Session, target: str, kind: str, new: Standing) -> None:
    """Mark what a current result replaces, or this result where a current one replaces it."""
    current = _current(session, target, kind, new)
    better = [other for other in current if supersedes(other, new)]
    if better:
        best = max(better, key=lambda standing: standing.rank).result_id
        _mark(session, [new.result_id], best)
    else:
        _mark(session, [other.result_id for other in current if supersedes(new, other)], new.result_id)


def _current(session: Session, target: str, kind: str, of: Standing) -> list[Standing]:
    """Return the other results of this kind and target that share an observation and are not replaced."""
    sharing = select(ResultEpoch.result_id).where(ResultEpoch.fingerprint.in_(of.fingerprints))
    found = session.execute(
        select(Result.result_id, Result.complete, Result.fitted_at).where(
            Result.result_id.in_(sharing),
            Result.result_id != of.result_id,
            Result.target == target,
            Result.kind == kind,
            Result.superseded_by.is_(None),
        )
    ).all()
    return _standings(session, [(row.result_id, row.complete, row.fitted_at) for row in found])


def _standings(session: Session, results: Sequence[tuple[str, bool, datetime]]) -> list[Standing]:
    epochs: dict[str, set[str]] = {result_id: set() for result_id, _, _ in results}
    for result_id, fingerprint in session.execute(
        select(ResultEpoch.result_id, ResultEpoch.fingerprint).where(ResultEpoch.result_id.in_(epochs))
    ):
        epochs[result_id].add(fingerprint)
    return [
        Standing(result_id, frozenset(epochs[result_id]), complete, fitted_at)
        for result_id, complete, fitted_at in results
    ]


def _mark(session: Session, result_ids: Sequence[str], by: str) -> None:
    """Mark results as replaced, with what they had replaced, so that the mark names a current result."""
    session.execute(
        update(Result)
        .where(Result.result_id.in_(result_ids) | Result.superseded_by.in_(result_ids))
        .values(superseded_by=by)
    )
