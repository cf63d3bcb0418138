"""Reading from the results store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Engine, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from coronium.contract.limits import MAX_NAME
from coronium.results.models import Change, Result, ResultEpoch, StoredDeadLetter, StoredObservation
from coronium.results.pages import PAGE_BYTES, InvalidQuery, page_size, read_token, write_token
from coronium.results.records import enum_name
from coronium.results.store import CHANGES
from coronium.v1 import posterior_pb2, results_pb2

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Found:
    """One result as stored: the serialised posterior, and what replaced it (empty when it is current)."""

    result_id: str
    kind: str
    fingerprint: str
    message: bytes
    superseded_by: str


@dataclass(frozen=True)
class Page:
    """Serialised messages of a page, the token of the next (empty on the last), how many rows match."""

    messages: list[bytes]
    next_token: str
    total: int


@dataclass(frozen=True)
class Changes:
    """What changed after a cursor: serialised posteriors in the order of storing, the cursor after them."""

    messages: list[bytes]
    cursor: int


class Queries:
    """Answers from the database; safe to call from several threads.

    Parameters
    ----------
    engine : Engine
        Of a database with the current schema.
    threads : int
        Questions that `ask` has answered at once.
    """

    def __init__(self, engine: Engine, threads: int = 4) -> None:
        self._engine = engine
        # Of their own: whoever asks much keeps others who ask waiting, and nothing else that runs in threads here.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="queries")

    async def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Answer one of the questions below in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *arguments)

    def get(self, identifier: str) -> Found | None:
        """Return the result with this id, or the current result of the spectrum with this fingerprint.

        Of several results of a fingerprint, the current one of the spectrum alone comes before a joint one.
        """
        columns = (Result.result_id, Result.kind, Result.message, Result.superseded_by)
        of_fingerprint = (
            select(*columns)
            .join(ResultEpoch, ResultEpoch.result_id == Result.result_id)
            .where(ResultEpoch.fingerprint == identifier, Result.superseded_by.is_(None))
            .order_by(Result.kind.desc(), Result.fitted_at.desc())
            .limit(1)
        )
        with Session(self._engine) as session:
            row = (
                session.execute(select(*columns).where(Result.result_id == identifier)).first()
                or session.execute(of_fingerprint).first()
            )
            if row is None:
                return None
            fingerprint = session.execute(
                select(func.min(ResultEpoch.fingerprint)).where(ResultEpoch.result_id == row.result_id)
            ).scalar_one()
        return Found(row.result_id, row.kind, fingerprint, row.message, row.superseded_by or "")

    def observation(self, fingerprint: str) -> bytes | None:
        """Return the serialised observation with this fingerprint."""
        with Session(self._engine) as session:
            return session.execute(
                select(StoredObservation.message).where(StoredObservation.fingerprint == fingerprint)
            ).scalar()

    def dead_letter_detail(self, fingerprint: str) -> tuple[str, str] | None:
        """Return the stage that set this spectrum aside last, and why."""
        with Session(self._engine) as session:
            row = session.execute(
                select(StoredDeadLetter.stage, StoredDeadLetter.detail)
                .where(StoredDeadLetter.fingerprint == fingerprint, StoredDeadLetter.resolved_by.is_(None))
                .order_by(StoredDeadLetter.position.desc())
                .limit(1)
            ).first()
        return (row.stage, row.detail) if row else None

    def results(self, result_filter: results_pb2.ResultFilter, size: int, token: str) -> Page:
        """Return one page of results, the newest first, without draws and predictive bands.

        Raises
        ------
        InvalidQuery
            The filter or the token makes no sense.
        """
        return self._page(Result, Result.summary, conditions(result_filter), result_filter, size, token)

    def dead_letters(self, stage: str, size: int, token: str) -> Page:
        """Return one page of the dead letters that no result has beaten, the newest first.

        Raises
        ------
        InvalidQuery
            The stage or the token makes no sense.
        """
        where: list[ColumnElement[bool]] = [StoredDeadLetter.resolved_by.is_(None)]
        require_text("stage", stage)
        if stage:
            where.append(StoredDeadLetter.stage == stage)
        question = results_pb2.ListDeadLettersRequest(stage=stage)
        return self._page(StoredDeadLetter, StoredDeadLetter.message, where, question, size, token)

    def newest_change(self) -> int:
        """Return the number of the newest change: a watch that begins now has seen everything up to it."""
        with Session(self._engine) as session:
            return session.execute(_newest_change()).scalar_one()

    def cursor_since(self, since: datetime) -> int:
        """Return the cursor from which a watch replays what was stored at or after a time."""
        with Session(self._engine) as session:
            newest = session.execute(_newest_change()).scalar_one()
            first = session.execute(select(func.min(Result.sequence)).where(Result.stored_at >= since)).scalar()
        return newest if first is None else min(first - 1, newest)

    def changes_after(self, cursor: int, result_filter: results_pb2.ResultFilter, most: int) -> Changes:
        """Return at most `most` results that were stored after a cursor, in the order of storing.

        Raises
        ------
        InvalidQuery
            The filter makes no sense.
        """
        with Session(self._engine) as session:
            # Read first: everything up to it is committed, so what the next query does not return will never
            # come.
            newest = session.execute(_newest_change()).scalar_one()
            rows = session.execute(
                select(Result.sequence, Result.message)
                .where(Result.sequence > cursor, Result.sequence <= newest, *conditions(result_filter))
                .order_by(Result.sequence)
                .limit(most)
            ).all()
        reached = rows[-1].sequence if len(rows) == most else max(newest, cursor)
        return Changes([row.message for row in rows], reached)

    def _page(
        self,
        table: type[Result] | type[StoredDeadLetter],
        content: InstrumentedAttribute[bytes],
        where: list[ColumnElement[bool]],
        question: Message,
        size: int,
        token: str,
    ) -> Page:
        asked = question.SerializeToString(deterministic=True)
        after = read_token(token, asked)
        most = page_size(size)
        # Lengths first: a page of dead letters may weigh gigabytes.
        index = select(table.position, func.length(content)).where(*where).order_by(table.position.desc())
        if after is not None:
            index = index.where(table.position < after)
        with Session(self._engine) as session:
            total = session.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
            rows = session.execute(index.limit(most + 1)).all()
            positions = _within_budget(rows[:most])
            messages = session.execute(
                select(content).where(table.position.in_(positions)).order_by(table.position.desc())
            ).scalars()
            return Page(
                messages=list(messages),
                next_token=write_token(positions[-1], asked) if len(positions) < len(rows) else "",
                total=total,
            )


def conditions(result_filter: results_pb2.ResultFilter) -> list[ColumnElement[bool]]:
    """Return what a result must fulfil to pass a filter.

    Raises
    ------
    InvalidQuery
        A range has one end, a time cannot be read, or no name is like what was given.
    """
    where: list[ColumnElement[bool]] = []
    for field in ("target", "instrument", "name", "fingerprint"):
        require_text(field, getattr(result_filter, field))
    if not result_filter.include_superseded:
        where.append(Result.superseded_by.is_(None))
    if result_filter.target.endswith("*"):
        where.extend(starting_with(Result.target, result_filter.target[:-1]))
    elif result_filter.target:
        where.append(Result.target == result_filter.target)
    if result_filter.instrument:
        where.append(Result.instrument == result_filter.instrument)
    if result_filter.name:
        where.append(Result.name == result_filter.name)
    if result_filter.kind:
        where.append(Result.kind == enum_name(posterior_pb2.ResultKind, result_filter.kind))
    if result_filter.fingerprint:
        fitted = select(ResultEpoch.result_id).where(ResultEpoch.fingerprint == result_filter.fingerprint)
        where.append(Result.result_id.in_(fitted))
    for field, column, earliest in (
        ("observed_from", Result.observed_at, True),
        ("observed_until", Result.observed_at, False),
        ("fitted_from", Result.fitted_at, True),
    ):
        if result_filter.HasField(field):
            instant = _instant(result_filter, field)
            where.append(column >= instant if earliest else column < instant)
    for parameter, median in (
        ("log_temperature", Result.log_temperature),
        ("log_density", Result.log_density),
    ):
        ends = [result_filter.HasField(f"{parameter}_{end}") for end in ("min", "max")]
        if any(ends) and not all(ends):
            raise InvalidQuery(f"A range of {parameter} needs both {parameter}_min and {parameter}_max.")
        if all(ends):
            low, high = (getattr(result_filter, f"{parameter}_{end}") for end in ("min", "max"))
            where.append(median.between(low, high))
    return where


def require_text(field: str, text: str) -> None:
    """Refuse what cannot be anything's name, and what a database could not compare.

    Raises
    ------
    InvalidQuery
        It is too long or holds a NUL character.
    """
    if len(text) > MAX_NAME or "\0" in text:
        raise InvalidQuery(f"{field} is not at most {MAX_NAME} characters without NUL.")


def starting_with(column: InstrumentedAttribute[str], prefix: str) -> list[ColumnElement[bool]]:
    """Return the range of strings that begin with a prefix, in byte order, which an index serves."""
    where: list[ColumnElement[bool]] = [column >= prefix] if prefix else []
    stem = prefix.rstrip(chr(0x10FFFF))
    if stem:
        successor = ord(stem[-1]) + 1
        # Surrogates are no characters.
        where.append(column < stem[:-1] + chr(0xE000 if 0xD800 <= successor < 0xE000 else successor))
    return where


def _within_budget(rows: Sequence[tuple[int, int]]) -> list[int]:
    """Return the positions of the first rows whose messages fit one page together, at least one."""
    positions: list[int] = []
    room = PAGE_BYTES
    for position, length in rows:
        room -= length
        if positions and room < 0:
            break
        positions.append(position)
    return positions


def _newest_change() -> Select[Any]:
    return select(Change.number).where(Change.name == CHANGES)


def _instant(result_filter: results_pb2.ResultFilter, field: str) -> datetime:
    try:
        return getattr(result_filter, field).ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidQuery(f"{field} is not a time: {error}.") from error
