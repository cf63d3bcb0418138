"""What is in a results database: rows, how far Kafka is stored, and checksums to compare two databases by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, inspect, select

from coronium.results.models import Base, Change, Result, StoredDeadLetter, StoredObservation, StoredOffset
from coronium.v1.dead_letter_pb2 import DeadLetter

CONTENT = ("results", "observations", "dead_letters")
"""The tables that a checksum covers: everything else follows from them, or says where a process stands."""

_MODULUS = 2**256
_ROWS_AT_ONCE = 200


@dataclass(frozen=True)
class Inventory:
    """What is in a database.

    Parameters
    ----------
    schema : str
        Revision of the schema; empty where there is none.
    rows : mapping of str to int
        By table.
    offsets : mapping of str to int
        Next offset by ``topic/partition``: where Kafka is to be read on from.
    checksums : mapping of str to str
        Of each table of `CONTENT`.
    """

    schema: str
    rows: Mapping[str, int]
    offsets: Mapping[str, int]
    checksums: Mapping[str, str]

    @property
    def checksum(self) -> str:
        """One checksum of all: 64 hexadecimal digits."""
        return hashlib.sha256("".join(self.checksums[table] for table in CONTENT).encode()).hexdigest()


def take_inventory(connection: Connection) -> Inventory:
    """Look through a database of any schema that this software knows, as far as it has tables.

    The checksum of a table does not depend on the order of its rows. Of a result it covers id, message and whether
    another replaced it; of an observation fingerprint and message; of a dead letter source, original bytes and whether
    it is open. It does not cover when and in which order rows were stored, nor when a record was set aside: one that
    is read again is set aside again.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database does not answer.
    """
    there = set(inspect(connection).get_table_names())
    tables = [table for table in Base.metadata.sorted_tables if table.name in there and table is not Change.__table__]
    offsets: dict[str, int] = {}
    if StoredOffset.__tablename__ in there:
        found = connection.execute(
            select(StoredOffset.topic, StoredOffset.partition, StoredOffset.next_offset).order_by(
                StoredOffset.topic, StoredOffset.partition
            )
        )
        offsets = {f"{topic}/{partition}": offset for topic, partition, offset in found}
    return Inventory(
        schema=MigrationContext.configure(connection).get_current_revision() or "",
        rows={table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables},
        offsets=offsets,
        checksums={
            table: _sum(
                _rows(connection, table) if table in there else (), letters=table == StoredDeadLetter.__tablename__
            )
            for table in CONTENT
        },
    )


def _rows(connection: Connection, table: str) -> Iterable[Sequence[Any]]:
    letter = StoredDeadLetter
    questions: dict[str, Any] = {
        "results": select(Result.result_id, Result.superseded_by.is_not(None), Result.message),
        "observations": select(StoredObservation.fingerprint, StoredObservation.message),
        "dead_letters": select(
            letter.stage,
            letter.source_topic,
            letter.source_partition,
            letter.source_offset,
            letter.resolved_by.is_not(None),
            letter.message,
        ),
    }
    return connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(questions[table])


def _sum(rows: Iterable[Sequence[Any]], *, letters: bool = False) -> str:
    total = 0
    for *columns, message in rows:
        digest = hashlib.sha256()
        for value in (*columns, DeadLetter.FromString(message).value if letters else message):
            data = value if isinstance(value, bytes) else str(value).encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        total = (total + int.from_bytes(digest.digest(), "big")) % _MODULUS
    return f"{total:064x}"
