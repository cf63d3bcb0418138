"""From messages to JSON models."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from coronium.contract.plasma import plasma_word
from coronium.gateway import schemas
from coronium.v1 import dead_letter_pb2, posterior_pb2, results_pb2, spectrum_pb2


def result(posterior: posterior_pb2.Posterior) -> schemas.Result:
    """Return a posterior without draws and bands."""
    return schemas.Result(**_result_fields(posterior))


def result_detail(response: results_pb2.GetResponse) -> schemas.ResultDetail:
    """Return a posterior with its predictive bands."""
    bands = [
        schemas.Band(
            name=band.name,
            wavelength=_numbers(band.wavelength),
            lower=_numbers(band.lower),
            median=_numbers(band.median),
            upper=_numbers(band.upper),
            rebinned=band.rebinned,
        )
        for band in response.posterior.predictive
    ]
    return schemas.ResultDetail(
        **_result_fields(response.posterior), predictive=bands, superseded_by=response.superseded_by or None
    )


def draw_table(result_id: str, parts: Iterable[posterior_pb2.Draws]) -> schemas.DrawTable:
    """Return the parts of a stream of draws as one table."""
    names: list[str] = []
    rows: list[list[float | None]] = []
    for part in parts:
        names = list(part.names)
        values = _numbers(part.values)
        width = max(len(names), 1)
        rows += [values[start : start + width] for start in range(0, len(values), width)]
    return schemas.DrawTable(result_id=result_id, names=names, draws=rows)


def dead_letter(letter: dead_letter_pb2.DeadLetter) -> schemas.DeadLetter:
    """Return a dead letter without its bytes."""
    return schemas.DeadLetter(
        stage=letter.stage,
        reason=_name(dead_letter_pb2.DeadLetterReason, letter.reason),
        detail=letter.detail,
        source_topic=letter.source_topic,
        source_partition=letter.source_partition,
        source_offset=letter.source_offset,
        key=letter.key.decode("utf-8", "replace"),
        size_bytes=len(letter.value),
        attempts=letter.attempts,
        failed_at=_instant(letter, "failed_at"),
    )


def _result_fields(posterior: posterior_pb2.Posterior) -> dict[str, Any]:
    return {
        "result_id": posterior.result_id,
        "kind": _name(posterior_pb2.ResultKind, posterior.kind),
        "target": posterior.target,
        "fingerprints": list(posterior.fingerprints),
        "instrument": posterior.instrument,
        "source": _name(spectrum_pb2.SourceKind, posterior.source),
        "name": posterior.name,
        "observed_at": _instant(posterior, "observed_at"),
        "received_at": _instant(posterior, "received_at"),
        "fitted_at": _instant(posterior, "fitted_at"),
        "plasma_model": plasma_word(posterior.plasma_model),
        "rung": _name(posterior_pb2.Rung, posterior.rung),
        "parameters": [_parameter(summary) for summary in posterior.parameters],
        "lines": [schemas.Line(**_plain(line)) for line in posterior.lines],
        "diagnostics": schemas.Diagnostics(**_plain(posterior.diagnostics)),
        "versions": schemas.Versions(**_plain(posterior.versions)),
        "flags": [_name(posterior_pb2.Flag, flag) for flag in posterior.flags],
        "annotations": dict(posterior.annotations),
    }


def _parameter(summary: posterior_pb2.ParameterSummary) -> schemas.Parameter:
    plain = _plain(summary)
    limits = (posterior_pb2.CONSTRAINT_UPPER_LIMIT, posterior_pb2.CONSTRAINT_LOWER_LIMIT)
    return schemas.Parameter(
        **{
            **plain,
            "interval68": schemas.Interval(lower=plain["lower68"], upper=plain["upper68"]),
            "interval95": schemas.Interval(lower=plain["lower95"], upper=plain["upper95"]),
            "constraint": _name(posterior_pb2.Constraint, summary.constraint),
            "limit95": plain["limit95"] if summary.constraint in limits else None,
        }
    )


def _plain(message: Message) -> dict[str, Any]:
    """Return the scalar fields of a message by name."""
    values = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    return {name: _number(value) if isinstance(value, float) else value for name, value in values.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _name(enum: Any, value: int) -> str:
    """Return the last part of an enumeration's name in small letters: `RUNG_NUTS` is `nuts`."""
    descriptor = enum.DESCRIPTOR.values_by_number.get(value)
    if descriptor is None:
        # Of a later version of the services.
        return str(value)
    prefix = enum.DESCRIPTOR.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return descriptor.name.removeprefix(prefix).lower()


def _instant(message: Message, field: str) -> datetime | None:
    try:
        return getattr(message, field).ToDatetime(tzinfo=UTC) if message.HasField(field) else None
    except (ValueError, OverflowError):
        # A dead letter is kept whatever it says.
        return None
