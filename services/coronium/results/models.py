"""The tables of the results store.

Every row keeps the message it came from, byte for byte, beside the columns that queries filter on: a column
may be added later and filled from the messages. Enumerations are stored by name, so that a person at an SQL
prompt can read them; times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Byte order in every database, so that a range over a prefix means the prefix and an index serves it.
BytewiseString = String().with_variant(String(collation="C"), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: `timestamptz` in PostgreSQL, UTC without a zone in SQLite, always aware in Python."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names constraints the same way in every database, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Change(Base):
    """One row: the number of the newest change.

    A writer raises it first in its transaction and so holds its lock until it commits. Writers therefore
    follow one another, and changes become visible in the order of their numbers: a reader that has seen
    change n has missed none before it, whichever replica wrote them.
    """

    __tablename__ = "changes"

    name: Mapped[str] = mapped_column(String, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class Result(Base):
    """One posterior."""

    __tablename__ = "results"
    __table_args__ = (
        Index(None, "target", "kind"),
        Index(None, "instrument"),
        Index(None, "observed_at"),
        Index(None, "fitted_at"),
        Index(None, "log_temperature", "log_density"),
        Index(None, "stored_at"),
        Index(None, "superseded_by"),
    )

    result_id: Mapped[str] = mapped_column(String, primary_key=True)
    # The change that stored the row first: the order of pages, which a replacement must not disturb.
    position: Mapped[int] = mapped_column(BigInteger, unique=True)
    # The change that wrote the present content: the order of watching.
    sequence: Mapped[int] = mapped_column(BigInteger, unique=True)
    kind: Mapped[str] = mapped_column(String)
    target: Mapped[str] = mapped_column(BytewiseString)
    instrument: Mapped[str] = mapped_column(String)
    name: Mapped[str] = mapped_column(String)
    observed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fitted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rung: Mapped[str] = mapped_column(String)
    # False for triage: a fit that was capped below the full answer.
    complete: Mapped[bool]
    # Posterior medians; null where the posterior has no such parameter or no finite median.
    log_temperature: Mapped[float | None] = mapped_column(Double)
    log_density: Mapped[float | None] = mapped_column(Double)
    log_emission_measure: Mapped[float | None] = mapped_column(Double)
    flags: Mapped[list[str]] = mapped_column(JSON)
    # A current result that replaced this one.
    superseded_by: Mapped[str | None] = mapped_column(String)
    # The posterior without draws and predictive bands: what lists return.
    summary: Mapped[bytes] = mapped_column(LargeBinary)
    message: Mapped[bytes] = mapped_column(LargeBinary)


class ResultEpoch(Base):
    """Which observations a result was fitted to."""

    __tablename__ = "result_epochs"
    __table_args__ = (Index(None, "fingerprint"),)

    result_id: Mapped[str] = mapped_column(ForeignKey("results.result_id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String, primary_key=True)


class StoredObservation(Base):
    """One checked spectrum. It may arrive before or after its result."""

    __tablename__ = "observations"
    __table_args__ = (Index(None, "target"),)

    fingerprint: Mapped[str] = mapped_column(String, primary_key=True)
    target: Mapped[str] = mapped_column(BytewiseString)
    instrument: Mapped[str] = mapped_column(String)
    name: Mapped[str] = mapped_column(String)
    observed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signal_to_noise: Mapped[float | None] = mapped_column(Double)
    message: Mapped[bytes] = mapped_column(LargeBinary)


class StoredDeadLetter(Base):
    """One message that a stage set aside, known by where it came from."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        UniqueConstraint("stage", "source_topic", "source_partition", "source_offset", name="uq_dead_letters_source"),
        Index(None, "fingerprint"),
    )

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stage: Mapped[str] = mapped_column(String)
    source_topic: Mapped[str] = mapped_column(String)
    source_partition: Mapped[int]
    source_offset: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(String)
    detail: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Of the spectrum inside, where the original bytes can still be read.
    fingerprint: Mapped[str | None] = mapped_column(String)
    # What beats the dead letter: a result of the same spectrum, or what became of the record when it was redriven.
    resolved_by: Mapped[str | None] = mapped_column(String)
    message: Mapped[bytes] = mapped_column(LargeBinary)


class Redriven(Base):
    """What became of a redriven record: it closes the dead letter of that record, in whatever order they come."""

    __tablename__ = "redriven"

    source_topic: Mapped[str] = mapped_column(String, primary_key=True)
    source_partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source_offset: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    # Whether it was this store that had set the record aside: an observation goes to extraction and to results.
    by_results: Mapped[bool] = mapped_column(primary_key=True)
    # Of the copy's value: it closes only a letter with the same inside.
    digest: Mapped[str] = mapped_column(String, primary_key=True)
    # A result id, a fingerprint, or the place of the later dead letter.
    outcome: Mapped[str] = mapped_column(String)


class StoredOffset(Base):
    """How far a partition of Kafka is in these tables: written in the transactions that write the rows."""

    __tablename__ = "stored_offsets"

    topic: Mapped[str] = mapped_column(String, primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # The offset after the last record whose rows are here.
    next_offset: Mapped[int] = mapped_column(BigInteger)
