"""Results from their messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from coronium.client.result import DeadLetter, Line, Parameter, PredictiveBand, Result
from coronium.contract.conversion import spectrum_from_message
from coronium.contract.plasma import plasma_word
from coronium.v1 import dead_letter_pb2, posterior_pb2, spectrum_pb2


def read_result(
    posterior: posterior_pb2.Posterior,
    observation: spectrum_pb2.Observation | None = None,
    superseded_by: str = "",
) -> Result:
    """Read a result, with the observation it was fitted to where there is one."""
    return Result(
        id=posterior.result_id,
        kind=_word(posterior_pb2.ResultKind, posterior.kind, "RESULT_KIND_"),
        target=posterior.target,
        instrument=posterior.instrument,
        name=posterior.name,
        source=_word(spectrum_pb2.SourceKind, posterior.source, "SOURCE_KIND_"),
        fingerprints=tuple(posterior.fingerprints),
        observed_at=_time(posterior, "observed_at"),
        received_at=_time(posterior, "received_at"),
        fitted_at=_time(posterior, "fitted_at"),
        plasma_model=plasma_word(posterior.plasma_model),
        rung=_word(posterior_pb2.Rung, posterior.rung, "RUNG_"),
        parameters={summary.name: _parameter(summary) for summary in posterior.parameters},
        lines=tuple(_line(line) for line in posterior.lines),
        flags=tuple(_word(posterior_pb2.Flag, flag, "FLAG_") for flag in posterior.flags),
        draws=draws_array([posterior.draws]) if posterior.draws.names else None,
        predictive={channel.name: _band(channel) for channel in posterior.predictive},
        diagnostics=_fields(posterior.diagnostics),
        versions=_fields(posterior.versions),
        annotations=dict(posterior.annotations),
        superseded_by=superseded_by,
        observation=None if observation is None else spectrum_from_message(observation.spectrum),
    )


def read_dead_letter(letter: dead_letter_pb2.DeadLetter) -> DeadLetter:
    """Read a message that was set aside."""
    return DeadLetter(
        stage=letter.stage,
        reason=_word(dead_letter_pb2.DeadLetterReason, letter.reason, "DEAD_LETTER_REASON_"),
        detail=letter.detail,
        topic=letter.source_topic,
        partition=letter.source_partition,
        offset=letter.source_offset,
        key=letter.key,
        value=letter.value,
        headers=dict(letter.headers),
        attempts=letter.attempts,
        failed_at=_time(letter, "failed_at"),
    )


def draws_array(parts: list[posterior_pb2.Draws]) -> NDArray[np.void]:
    """Join the parts of a posterior's draws.

    Returns
    -------
    structured array
        One row per draw, one float32 field per parameter.
    """
    names = list(parts[0].names) if parts else []
    rows = [np.array(part.values, dtype=np.float32).reshape(-1, len(names)) for part in parts if len(part.values)]
    values = np.concatenate(rows) if rows else np.empty((0, len(names)), dtype=np.float32)
    array = np.empty(len(values), dtype=[(name, np.float32) for name in names])
    for column, name in enumerate(names):
        array[name] = values[:, column]
    return array


def _parameter(summary: posterior_pb2.ParameterSummary) -> Parameter:
    constraint = _word(posterior_pb2.Constraint, summary.constraint, "CONSTRAINT_")
    return Parameter(
        name=summary.name,
        unit=summary.unit,
        median=summary.median,
        lower=summary.lower68,
        upper=summary.upper68,
        lower95=summary.lower95,
        upper95=summary.upper95,
        mean=summary.mean,
        standard_deviation=summary.standard_deviation,
        constraint=constraint,
        limit=summary.limit95 if constraint.endswith("limit") else None,
        prior_dominated=summary.prior_dominated,
        r_hat=summary.r_hat,
        effective_sample_size=summary.effective_sample_size,
    )


def _line(line: posterior_pb2.IdentifiedLine) -> Line:
    return Line(**_fields(line))


def _band(channel: posterior_pb2.PredictiveChannel) -> PredictiveBand:
    arrays = {
        name: np.array(getattr(channel, name), dtype=np.float32) for name in ("wavelength", "lower", "median", "upper")
    }
    return PredictiveBand(**arrays, rebinned=channel.rebinned)


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def _word(enumeration: Any, number: int, prefix: str) -> str:
    """Return an enumerator in lower case; a number this software does not know stays a number."""
    if number not in enumeration.values():
        return str(number)
    return enumeration.Name(number).removeprefix(prefix).lower()


def _time(message: Any, name: str) -> datetime | None:
    stamp: Timestamp = getattr(message, name)
    try:
        return stamp.ToDatetime(tzinfo=UTC) if message.HasField(name) else None
    except (ValueError, OverflowError):
        # A dead letter is kept whatever it says.
        return None
