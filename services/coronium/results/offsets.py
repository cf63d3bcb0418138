"""How far Kafka is in the database: noted in the transactions that write the rows, so that a backup knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coronium.results.models import StoredOffset
from coronium.results.upsert import insert

Partition = tuple[str, int]


class Receded(Exception):
    """The database is behind what this process has stored in it: it was restored, or made anew, meanwhile."""


def stored_offsets(engine: Engine) -> dict[Partition, int]:
    """Return the next offset of every partition that has rows.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database does not answer.
    """
    with Session(engine) as session:
        rows = session.execute(select(StoredOffset.topic, StoredOffset.partition, StoredOffset.next_offset))
        return {(topic, partition): offset for topic, partition, offset in rows}


def advance(session: Session, offsets: Mapping[Partition, int], known: Mapping[Partition, int]) -> None:
    """Note the next offsets of partitions, within the transaction that writes their rows.

    Parameters
    ----------
    session : Session
        Holds the lock of the writers.
    offsets : mapping of (topic, partition) to int
        What to note. A partition that is read again from earlier goes back: too little said does no harm.
    known : mapping of (topic, partition) to int
        What this process has read or noted last.

    Raises
    ------
    Receded
        The database says less than that. Going on would hide what it lacks.
    """
    there = _read(session, offsets)
    for partition in offsets:
        if there.get(partition, 0) < known.get(partition, 0):
            raise Receded
    for (topic, number), offset in sorted(offsets.items()):
        insertion = insert(session, StoredOffset).values(topic=topic, partition=number, next_offset=offset)
        session.execute(
            insertion.on_conflict_do_update(index_elements=["topic", "partition"], set_={"next_offset": offset})
        )


def _read(session: Session, partitions: Iterable[Partition]) -> dict[Partition, int]:
    topics = {topic for topic, _ in partitions}
    rows = session.execute(
        select(StoredOffset.topic, StoredOffset.partition, StoredOffset.next_offset).where(
            StoredOffset.topic.in_(topics)
        )
    )
    return {(topic, partition): offset for topic, partition, offset in rows}
