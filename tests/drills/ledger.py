"""What was published, and what became of it: the proof that nothing is lost and nothing doubled."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coronium.contract.identity import fingerprint, single_result_id
from coronium.results.models import Result, ResultEpoch, StoredDeadLetter, StoredObservation
from coronium.v1 import posterior_pb2, spectrum_pb2

Position = tuple[str, int, int]
"""Topic, partition and offset of a record."""


@dataclass(frozen=True)
class Chunk:
    """What was published at once.

    Attributes
    ----------
    fingerprints : frozenset of str
        Of the good spectra.
    bad : frozenset of Position
        Records that no stage can use.
    """

    fingerprints: frozenset[str]
    bad: frozenset[Position]

    def __len__(self) -> int:
        return len(self.fingerprints) + len(self.bad)

    def __or__(self, other: "Chunk") -> "Chunk":
        return Chunk(self.fingerprints | other.fingerprints, self.bad | other.bad)


@dataclass(frozen=True)
class Account:
    """What became of a chunk.

    Attributes
    ----------
    results : int
        Good spectra with exactly one current result.
    set_aside : int
        Good spectra with exactly one open dead letter and no result.
    bad : int
        Bad records with exactly one dead letter.
    lost : frozenset
        What has neither.
    doubled : frozenset
        What has more than one of either, or both.
    wrong : tuple of str
        Stored content that does not agree with its own id or checksum, a sentence each.
    """

    results: int
    set_aside: int
    bad: int
    lost: frozenset[str | Position]
    doubled: frozenset[str | Position]
    wrong: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything has exactly one outcome, and the right one."""
        return not (self.lost or self.doubled or self.wrong)


def account(engine: Engine, chunk: Chunk, *, checksums: bool = False) -> Account:
    """Look up what became of a chunk.

    Parameters
    ----------
    engine : Engine
    chunk : Chunk
    checksums : bool
        Recompute ids and fingerprints from the stored bytes.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database is away.
    """
    with Session(engine) as session:
        results: Counter[str] = Counter()
        letters: Counter[str] = Counter()
        for some in _in_parts(chunk.fingerprints):
            results.update(session.scalars(_current_results(some)))
            letters.update(session.scalars(_open_letters(some)))
        bad = Counter(row for row in map(tuple, session.execute(_sources())) if row in chunk.bad)
        wrong = tuple(_wrong(session, chunk)) if checksums else ()
    total = {one: results[one] + letters[one] for one in chunk.fingerprints}
    return Account(
        results=sum(results[one] == 1 and not letters[one] for one in chunk.fingerprints),
        set_aside=sum(letters[one] == 1 and not results[one] for one in chunk.fingerprints),
        bad=sum(bad[one] == 1 for one in chunk.bad),
        lost=frozenset([one for one, n in total.items() if n == 0]) | frozenset(p for p in chunk.bad if not bad[p]),
        doubled=frozenset([one for one, n in total.items() if n > 1]) | frozenset(p for p in chunk.bad if bad[p] > 1),
        wrong=wrong,
    )


def strangers(engine: Engine, chunk: Chunk) -> set[str | Position]:
    """Return what the store holds of records that nobody published.

    A spectrum that has a result and was set aside somewhere on the way as well, where its fingerprint could not be
    read, is among them: the position of such a dead letter is not that of a bad record.
    """
    with Session(engine) as session:
        stored = set(session.scalars(select(ResultEpoch.fingerprint)))
        stored |= set(session.scalars(select(StoredObservation.fingerprint)))
        letters = set(map(tuple, session.execute(_sources())))
    return (stored - chunk.fingerprints) | (letters - chunk.bad)


def _current_results(fingerprints: list[str]):
    return (
        select(ResultEpoch.fingerprint)
        .join(Result, Result.result_id == ResultEpoch.result_id)
        .where(ResultEpoch.fingerprint.in_(fingerprints), Result.superseded_by.is_(None), Result.kind == "single")
    )


def _open_letters(fingerprints: list[str]):
    return select(StoredDeadLetter.fingerprint).where(
        StoredDeadLetter.fingerprint.in_(fingerprints), StoredDeadLetter.resolved_by.is_(None)
    )


def _sources():
    letters = StoredDeadLetter
    return select(letters.source_topic, letters.source_partition, letters.source_offset).where(
        letters.fingerprint.is_(None)
    )


def _wrong(session: Session, chunk: Chunk) -> Iterable[str]:
    """Recompute what can be recomputed from the stored bytes."""
    for some in _in_parts(chunk.fingerprints):
        found = select(StoredObservation.fingerprint, StoredObservation.message).where(
            StoredObservation.fingerprint.in_(some)
        )
        seen = set()
        for name, message in session.execute(found):
            seen.add(name)
            if fingerprint(spectrum_pb2.Observation.FromString(message).spectrum) != name:
                yield f"the stored data of {name} have another fingerprint"
        yield from (f"the observation of {name} is not stored" for name in set(some) - seen)
        posteriors = (
            select(Result.result_id, Result.message)
            .join(ResultEpoch, Result.result_id == ResultEpoch.result_id)
            .where(ResultEpoch.fingerprint.in_(some))
        )
        for result_id, message in session.execute(posteriors):
            posterior = posterior_pb2.Posterior.FromString(message)
            (own,) = posterior.fingerprints
            if single_result_id(own, posterior.versions) != result_id:
                yield f"result {result_id} has not the id of its spectrum and versions"


def _in_parts(names: Iterable[str], size: int = 500) -> Iterable[list[str]]:
    ordered = sorted(names)
    return (ordered[start : start + size] for start in range(0, len(ordered), size))
