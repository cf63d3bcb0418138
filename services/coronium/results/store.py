"""Writing to the results store: idempotent, and the same whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from coronium.results.models import Change, Result, ResultEpoch, StoredDeadLetter, StoredObservation
from coronium.results.records import Entry, Table
from coronium.results.supersession import Standing, supersedes

CHANGES = "results"


class Outcome(StrEnum):
    """What became of an entry."""

    STORED = "stored"
    # The full answer took the place of a triage result with the same id.
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

    def write(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Store a batch in one transaction: all of it or, when this raises, nothing.

        Returns
        -------
        list of Outcome
            In the order of `entries`.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            The database refused, or did not answer.
        """
        with Session(self._engine) as session, session.begin():
            # First of all: whoever holds this row's lock is the only writer until the commit.
            last = session.execute(
                update(Change)
                .where(Change.name == CHANGES)
                .values(number=Change.number + len(entries))
                .returning(Change.number)
            ).scalar_one()
            now = datetime.now(UTC)
            first = last - len(entries) + 1
            return [_write(session, entry, now, first + index) for index, entry in enumerate(entries)]


def _write(session: Session, entry: Entry, now: datetime, change: int) -> Outcome:
    row = {**entry.row, "stored_at": now}
    match entry.table:
        case Table.POSTERIORS:
            return _write_result(session, row, entry.fingerprints, change)
        case Table.OBSERVATIONS:
            insertion = _insert(session, StoredObservation).values(row).on_conflict_do_nothing()
            written = session.execute(insertion.returning(StoredObservation.fingerprint)).first()
            return Outcome.STORED if written else Outcome.DUPLICATE
        case Table.DEAD_LETTERS:
            return _write_dead_letter(session, row, change)


def _write_result(session: Session, row: dict[str, Any], fingerprints: frozenset[str], change: int) -> Outcome:
    insertion = _insert(session, Result).values(**row, position=change, sequence=change)
    replaced = {column: insertion.excluded[column] for column in (*row, "sequence") if column != "result_id"}
    # A rerun of the same fit says the same again; only the full answer replaces, and only a triage result.
    upsert = insertion.on_conflict_do_update(
        index_elements=[Result.result_id],
        set_={**replaced, "superseded_by": None},
        where=insertion.excluded.complete & ~Result.complete,
    ).returning(Result.position)
    position = session.execute(upsert).scalar()
    if position is None:
        return Outcome.DUPLICATE
    epochs = [{"result_id": row["result_id"], "fingerprint": fingerprint} for fingerprint in sorted(fingerprints)]
    session.execute(_insert(session, ResultEpoch).on_conflict_do_nothing(), epochs)
    _settle(session, row, fingerprints)
    if row["kind"] == "single":
        session.execute(
            update(StoredDeadLetter)
            .where(StoredDeadLetter.fingerprint.in_(fingerprints), StoredDeadLetter.resolved_by.is_(None))
            .values(resolved_by=row["result_id"])
        )
    return Outcome.STORED if position == change else Outcome.REPLACED


def _settle(session: Session, row: dict[str, Any], fingerprints: frozenset[str]) -> None:
    """Mark what the new result replaces, or the new result where a current one already replaces it."""
    new = Standing(row["result_id"], fingerprints, row["complete"], row["fitted_at"])
    current = _current(session, row, fingerprints)
    better = [other for other in current if supersedes(other, new)]
    if better:
        best = max(better, key=lambda standing: standing.rank).result_id
        _mark(session, [new.result_id], best)
    else:
        _mark(session, [other.result_id for other in current if supersedes(new, other)], new.result_id)


def _current(session: Session, row: dict[str, Any], fingerprints: frozenset[str]) -> list[Standing]:
    """Return the other results of this kind and target that share an observation and are not replaced."""
    sharing = select(ResultEpoch.result_id).where(ResultEpoch.fingerprint.in_(fingerprints))
    found = session.execute(
        select(Result.result_id, Result.complete, Result.fitted_at).where(
            Result.result_id.in_(sharing),
            Result.result_id != row["result_id"],
            Result.target == row["target"],
            Result.kind == row["kind"],
            Result.superseded_by.is_(None),
        )
    ).all()
    epochs: dict[str, set[str]] = {result_id: set() for result_id, _, _ in found}
    for result_id, fingerprint in session.execute(
        select(ResultEpoch.result_id, ResultEpoch.fingerprint).where(ResultEpoch.result_id.in_(epochs))
    ):
        epochs[result_id].add(fingerprint)
    return [
        Standing(result_id, frozenset(epochs[result_id]), complete, fitted_at)
        for result_id, complete, fitted_at in found
    ]


def _mark(session: Session, result_ids: Sequence[str], by: str) -> None:
    """Mark results as replaced, with what they had replaced, so that the mark names a current result."""
    session.execute(
        update(Result)
        .where(Result.result_id.in_(result_ids) | Result.superseded_by.in_(result_ids))
        .values(superseded_by=by)
    )


def _write_dead_letter(session: Session, row: dict[str, Any], change: int) -> Outcome:
    answered = None
    if row["fingerprint"] is not None:
        answered = session.execute(
            select(Result.result_id)
            .join(ResultEpoch, ResultEpoch.result_id == Result.result_id)
            .where(ResultEpoch.fingerprint == row["fingerprint"], Result.kind == "single")
            .order_by(Result.position)
            .limit(1)
        ).scalar()
    insertion = _insert(session, StoredDeadLetter).values(**row, position=change, resolved_by=answered)
    # The same message set aside twice is one dead letter, told by the later attempt.
    told_by = ("reason", "detail", "attempts", "failed_at", "message")
    upsert = insertion.on_conflict_do_update(
        index_elements=["stage", "source_topic", "source_partition", "source_offset"],
        set_={column: insertion.excluded[column] for column in told_by},
        where=insertion.excluded.failed_at > StoredDeadLetter.failed_at,
    ).returning(StoredDeadLetter.position)
    return Outcome.STORED if session.execute(upsert).scalar() == change else Outcome.DUPLICATE


def _insert(session: Session, table: type) -> Any:
    """Return an insert that knows `on_conflict`: spelt alike in both databases, kept apart by SQLAlchemy."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)
