"""From messages to rows: what the store keeps of a posterior, an observation and a dead letter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from coronium.contract.conversion import InvalidSpectrum, spectrum_from_message
from coronium.contract.features_checks import FINGERPRINT
from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import MAX_FINGERPRINTS, MAX_LINES, MAX_NAME, MAX_POSTERIOR_DRAWS
from coronium.contract.wire import read_message
from coronium.results.dead_letters import Closing, closing
from coronium.runtime.dead_letters import MAX_DETAIL_CHARACTERS
from coronium.v1 import dead_letter_pb2, features_pb2, posterior_pb2, spectrum_pb2

Record = posterior_pb2.Posterior | spectrum_pb2.Observation | dead_letter_pb2.DeadLetter

# The longest name that Kafka gives a topic.
MAX_TOPIC = 249

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

# Answers of the full ladder. What the network or a mode alone says is triage.
_FULL_RUNGS = {posterior_pb2.RUNG_NUTS, posterior_pb2.RUNG_IMPORTANCE}


class InvalidRecord(ValueError):
    """A message that can be read but not stored; the text is one sentence."""


def enum_name(enum: EnumTypeWrapper, value: int) -> str:
    """Return an enumeration's value as stored: `RESULT_KIND_SINGLE` is `single`."""
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.DESCRIPTOR.name).lstrip("_") + "_"
    try:
        return enum.Name(value).removeprefix(prefix).lower()
    except ValueError:
        # A later software version's value: kept, not understood.
        return str(value)


class Table(StrEnum):
    """What the store keeps, by the names that metrics use."""

    POSTERIORS = "posteriors"
    OBSERVATIONS = "observations"
    DEAD_LETTERS = "dead_letters"


@dataclass(frozen=True)
class Entry:
    """A message made ready for the store.

    Parameters
    ----------
    table : Table
    row : dict
        Its columns, without those that the store decides.
    fingerprints : frozenset of str
        The spectra it is about; of a dead letter those that can be read.
    closing : Closing or None
        The dead letters that it closes, where it is part of a replay.
    """

    table: Table
    row: dict[str, Any]
    fingerprints: frozenset[str]
    closing: Closing | None = None


def entry(record: Record, topic: str = "", trace: Headers | None = None) -> Entry:
    """Make a message ready for the store.

    Parameters
    ----------
    record : Posterior, Observation or DeadLetter
    topic : str
        Full name of the topic it came from.
    trace : Headers, optional
        It came with; without, it is no part of a replay.

    Raises
    ------
    InvalidRecord
        It cannot be stored.
    """
    closes = closing(record, topic, trace) if trace is not None else None
    match record:
        case posterior_pb2.Posterior():
            return Entry(Table.POSTERIORS, result_row(record), frozenset(record.fingerprints), closes)
        case spectrum_pb2.Observation():
            return Entry(Table.OBSERVATIONS, observation_row(record), frozenset([record.fingerprint]), closes)
        case _:
            row = dead_letter_row(record)
            return Entry(Table.DEAD_LETTERS, row, frozenset(filter(None, [row["fingerprint"]])), closes)


def is_complete(posterior: posterior_pb2.Posterior) -> bool:
    """Return whether this is the full answer, and not a fit that was capped for triage."""
    return posterior.rung in _FULL_RUNGS and posterior_pb2.FLAG_TRIAGE not in posterior.flags


def summary_of(posterior: posterior_pb2.Posterior) -> posterior_pb2.Posterior:
    """Return the posterior without draws and predictive bands."""
    summary = posterior_pb2.Posterior()
    summary.CopyFrom(posterior)
    summary.ClearField("draws")
    summary.ClearField("predictive")
    return summary


def result_row(posterior: posterior_pb2.Posterior) -> dict[str, Any]:
    """Return the columns of `Result` that the message determines.

    Raises
    ------
    InvalidRecord
        An identity is missing, the draws or a band are no table, there is more of something than a result may have,
        or a time or a text cannot be stored.
    """
    _require(bool(posterior.result_id), "The posterior has no result_id.")
    _require(bool(posterior.target), f"Posterior {posterior.result_id[:80]} names no target.")
    single = posterior.kind == posterior_pb2.RESULT_KIND_SINGLE
    _require(
        single or posterior.kind == posterior_pb2.RESULT_KIND_JOINT,
        f"Posterior {posterior.result_id[:80]} is of kind {posterior.kind}, which is neither single nor joint.",
    )
    _require(
        bool(posterior.fingerprints) and all(posterior.fingerprints),
        f"Posterior {posterior.result_id[:80]} names no fingerprint.",
    )
    _require(
        not single or len(posterior.fingerprints) == 1,
        f"Posterior {posterior.result_id[:80]} is single and has {len(posterior.fingerprints)} fingerprints.",
    )
    _require(
        len(posterior.fingerprints) <= MAX_FINGERPRINTS and len(posterior.lines) <= MAX_LINES,
        f"Posterior {posterior.result_id[:80]} has {len(posterior.fingerprints)} fingerprints and "
        f"{len(posterior.lines)} lines, of which {MAX_FINGERPRINTS} and {MAX_LINES} are taken.",
    )
    _require(
        all(math.isfinite(line.wavelength) for line in posterior.lines),
        f"Posterior {posterior.result_id[:80]} has a line without a wavelength.",
    )
    _require_draws(posterior)
    for band in posterior.predictive:
        _require(
            len(band.wavelength) == len(band.lower) == len(band.median) == len(band.upper),
            f"Posterior {posterior.result_id[:80]} has a predictive band of unequal lengths.",
        )
    medians = {summary.name: summary.median for summary in posterior.parameters}
    row = {
        "result_id": posterior.result_id,
        "kind": enum_name(posterior_pb2.ResultKind, posterior.kind),
        "target": posterior.target,
        "instrument": posterior.instrument,
        "name": posterior.name,
        "observed_at": _instant(posterior, "observed_at"),
        "received_at": _instant(posterior, "received_at"),
        "fitted_at": _instant(posterior, "fitted_at") or EARLIEST,
        "rung": enum_name(posterior_pb2.Rung, posterior.rung),
        "complete": is_complete(posterior),
        "log_temperature": _finite(medians.get("log_temperature")),
        "log_density": _finite(medians.get("log_density")),
        "log_emission_measure": _finite(medians.get("log_emission_measure")),
        "flags": [enum_name(posterior_pb2.Flag, flag) for flag in posterior.flags],
        "summary": summary_of(posterior).SerializeToString(),
        "message": posterior.SerializeToString(),
    }
    for text in (*(value for value in row.values() if isinstance(value, str)), *posterior.fingerprints):
        _require_text("posterior", text)
    return row


def observation_row(observation: spectrum_pb2.Observation) -> dict[str, Any]:
    """Return the columns of `StoredObservation` that the message determines.

    Raises
    ------
    InvalidRecord
        The fingerprint is missing, arrays are not of the shape they say, or a time or a text cannot be stored.
    """
    spectrum = observation.spectrum
    _require(bool(observation.fingerprint), "The observation has no fingerprint.")
    try:
        # Whoever asks for the observation reads its arrays.
        spectrum_from_message(spectrum)
    except InvalidSpectrum as problem:
        raise InvalidRecord(str(problem)) from None
    starts = [_instant(exposure, "start") for exposure in spectrum.exposures]
    row = {
        "fingerprint": observation.fingerprint,
        "target": spectrum.target,
        "instrument": spectrum.instrument,
        "name": spectrum.name,
        "observed_at": min((start for start in starts if start), default=None),
        "received_at": _instant(observation, "received_at"),
        "signal_to_noise": _finite(observation.signal_to_noise),
        "message": observation.SerializeToString(),
    }
    for value in row.values():
        if isinstance(value, str):
            _require_text("observation", value)
    return row


def dead_letter_row(letter: dead_letter_pb2.DeadLetter) -> dict[str, Any]:
    """Return the columns of `StoredDeadLetter` that the message determines; nothing is refused, long texts are cut."""
    try:
        failed_at = _instant(letter, "failed_at") or EARLIEST
    except InvalidRecord:
        failed_at = EARLIEST
    return {
        "stage": _storable(letter.stage)[:MAX_NAME],
        "source_topic": _storable(letter.source_topic)[:MAX_TOPIC],
        "source_partition": letter.source_partition,
        "source_offset": letter.source_offset,
        "reason": enum_name(dead_letter_pb2.DeadLetterReason, letter.reason),
        "detail": _storable(letter.detail)[:MAX_DETAIL_CHARACTERS],
        "attempts": min(letter.attempts, 2**31 - 1),
        "failed_at": failed_at,
        "fingerprint": fingerprint_inside(letter),
        "message": letter.SerializeToString(),
    }


def fingerprint_inside(letter: dead_letter_pb2.DeadLetter) -> str | None:
    """Return the fingerprint of the spectrum in a dead letter, or None where its bytes cannot be read.

    A redriven message has other coordinates but the same fingerprint, so this is what ties a dead letter to
    the result that beats it.
    """
    found: str | None = None
    try:
        match letter.stage:
            case "ingestion":
                found = fingerprint(read_message(spectrum_pb2.Spectrum, letter.value))
            case "extraction":
                found = read_message(spectrum_pb2.Observation, letter.value).fingerprint
            case "fitting":
                found = read_message(features_pb2.Features, letter.value).observation.fingerprint
            case _:
                return None
    except (DecodeError, ValueError):
        return None
    return found if FINGERPRINT.fullmatch(found) else None


def _require_draws(posterior: posterior_pb2.Posterior) -> None:
    names, values = posterior.draws.names, posterior.draws.values
    parameters = len(names)
    _require(
        len(values) % parameters == 0 if parameters else not values,
        f"Posterior {posterior.result_id[:80]} has {len(values)} draws of {parameters} parameters.",
    )
    _require(
        len(values) <= MAX_POSTERIOR_DRAWS * parameters,
        f"Posterior {posterior.result_id[:80]} has more than {MAX_POSTERIOR_DRAWS} draws.",
    )
    _require(
        len(set(names)) == parameters and all(names),
        f"Posterior {posterior.result_id[:80]} names a parameter of its draws twice, or not at all.",
    )


def _require_text(kind: str, text: str) -> None:
    _require("\0" not in text, f"The {kind} holds a text with a NUL character, which cannot be stored.")
    _require(len(text) <= MAX_NAME, f"The {kind} holds a name of {len(text)} characters, {MAX_NAME} are taken.")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise InvalidRecord(sentence)


def _storable(text: str) -> str:
    return text.replace("\0", "�")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _instant(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRecord(f"{message.DESCRIPTOR.name}.{field} is not a time: {error}.") from error
