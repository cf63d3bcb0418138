"""Dead letters in the store: one for each record that was set aside, open until something beats it.

A result of the same spectrum beats it, whatever came first. So does what becomes of the record when it is redriven:
what follows from the copy names in its headers where the original stood, so that even a letter whose bytes nobody could
read is closed by the result, or by the later letter where the copy was set aside again. The headers hold the digest of
the copy too: whoever may publish may say of anything that it is redriven, and closes only the letter of a record with
the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from coronium.contract.headers import REPLAY_OF_HEADER, Headers, Place, digest
from coronium.contract.topics import StageName
from coronium.results.models import Redriven, Result, ResultEpoch, StoredDeadLetter
from coronium.results.upsert import insert
from coronium.v1 import dead_letter_pb2, posterior_pb2, spectrum_pb2


@dataclass(frozen=True)
class Closing:
    """Which dead letters a stored record closes.

    Parameters
    ----------
    place : Place
        Where the record stood that was set aside.
    by_results : bool
        Whether it was this store that had set it aside, or a stage before.
    outcome : str
        What the letter is closed by: a result id, a fingerprint, or the place of the later dead letter.
    digest : str
        Of the copy's value, which is the value inside the letter.
    """

    place: Place
    by_results: bool
    outcome: str
    digest: str


def closing(
    record: posterior_pb2.Posterior | spectrum_pb2.Observation | dead_letter_pb2.DeadLetter, topic: str, trace: Headers
) -> Closing | None:
    """Return what a record closes by being stored; None where it is no part of a replay, or only on its way.

    Parameters
    ----------
    record : Posterior, Observation or DeadLetter
    topic : str
        Full name of the topic it came from.
    trace : Headers
        It came with.
    """
    if trace.replay_of is None and isinstance(record, dead_letter_pb2.DeadLetter):
        # Of a schema nobody knew: the stage that set it aside could not read its headers.
        place = Place.parse(record.headers.get(REPLAY_OF_HEADER, b"").decode("ascii", "ignore"))
        trace = replace(trace, replay_of=place).tied(record.source_topic, record.value, anybodys=True)
    place, copy = trace.replay_of, trace.replay_digest
    if place is None:
        return None
    match record:
        case posterior_pb2.Posterior():
            return Closing(place, topic == place.topic, record.result_id, copy)
        case spectrum_pb2.Observation():
            # A redriven spectrum's observation is no answer yet; a redriven observation is all that was asked.
            return Closing(place, True, record.fingerprint, copy) if topic == place.topic else None
        case _:
            again = Place(record.source_topic, record.source_partition, record.source_offset)
            ours = topic == place.topic or (record.stage == StageName.RESULTS and again.topic == place.topic)
            return Closing(place, ours, f"{record.stage}/{again}", copy)


def close(session: Session, closing: Closing) -> None:
    """Close the dead letters of a redriven record, those that come later too."""
    place = closing.place
    session.execute(
        insert(session, Redriven)
        .values(
            source_topic=place.topic,
            source_partition=place.partition,
            source_offset=place.offset,
            by_results=closing.by_results,
            digest=closing.digest,
            outcome=closing.outcome,
        )
        .on_conflict_do_nothing()
    )
    by_results = StoredDeadLetter.stage == StageName.RESULTS.value
    letters = select(StoredDeadLetter.position, StoredDeadLetter.message).where(
        StoredDeadLetter.resolved_by.is_(None),
        StoredDeadLetter.source_topic == place.topic,
        StoredDeadLetter.source_partition == place.partition,
        StoredDeadLetter.source_offset == place.offset,
        by_results if closing.by_results else ~by_results,
    )
    same = [position for position, message in session.execute(letters) if _inside(message) == closing.digest]
    if same:
        _resolve(session, closing.outcome, StoredDeadLetter.position.in_(same))


def answer(session: Session, fingerprints: Iterable[str], result_id: str) -> None:
    """Close the dead letters of spectra that have a result."""
    _resolve(session, result_id, StoredDeadLetter.fingerprint.in_(fingerprints))


def write_dead_letter(session: Session, row: dict[str, Any], change: int) -> bool:
    """Store a dead letter and return whether it is new.

    Parameters
    ----------
    session : Session
    row : dict
        Columns of `StoredDeadLetter` but position and what closed it.
    change : int
        Number of the change.
    """
    _make_room(session, row)
    insertion = insert(session, StoredDeadLetter).values(**row, position=change, resolved_by=_beaten_by(session, row))
    # The same message set aside twice is one dead letter, told by the later attempt.
    told_by = ("reason", "detail", "attempts", "failed_at", "message")
    upsert = insertion.on_conflict_do_update(
        index_elements=["stage", "source_topic", "source_partition", "source_offset"],
        set_={column: insertion.excluded[column] for column in told_by},
        where=insertion.excluded.failed_at > StoredDeadLetter.failed_at,
    ).returning(StoredDeadLetter.position)
    return session.execute(upsert).scalar() == change


def _make_room(session: Session, row: dict[str, Any]) -> None:
    """Delete an earlier dead letter of another record in the same place: its log lost its end, and was written on."""
    columns = ("stage", "source_topic", "source_partition", "source_offset")
    here = [getattr(StoredDeadLetter, column) == row[column] for column in columns]
    earlier = select(StoredDeadLetter.message).where(*here, StoredDeadLetter.failed_at < row["failed_at"])
    message = session.execute(earlier).scalar()
    if message is not None and _inside(message) != _inside(row["message"]):
        session.execute(delete(StoredDeadLetter).where(*here))


def _resolve(session: Session, outcome: str, *where: ColumnElement[bool]) -> None:
    session.execute(
        update(StoredDeadLetter).where(StoredDeadLetter.resolved_by.is_(None), *where).values(resolved_by=outcome)
    )


def _beaten_by(session: Session, row: dict[str, Any]) -> str | None:
    """Return what came before a dead letter and beats it."""
    answered = None
    if row["fingerprint"] is not None:
        answered = session.execute(
            select(Result.result_id)
            .join(ResultEpoch, ResultEpoch.result_id == Result.result_id)
            .where(ResultEpoch.fingerprint == row["fingerprint"], Result.kind == "single")
            .order_by(Result.position)
            .limit(1)
        ).scalar()
    return (
        answered
        or session.execute(
            select(Redriven.outcome).where(
                Redriven.source_topic == row["source_topic"],
                Redriven.source_partition == row["source_partition"],
                Redriven.source_offset == row["source_offset"],
                Redriven.by_results == (row["stage"] == StageName.RESULTS.value),
                Redriven.digest == _inside(row["message"]),
            )
        ).scalar()
    )


def _inside(letter: bytes) -> str:
    """Return the digest of the value inside a dead letter."""
    return digest(dead_letter_pb2.DeadLetter.FromString(letter).value)
