"""What a caller may ask for, as the messages of the results service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from coronium.v1 import posterior_pb2, results_pb2


class Filters(TypedDict, total=False):
    """Which results; what is left out does not restrict.

    Attributes
    ----------
    target : str
        The exact target, or a prefix ending in `*`.
    instrument, fingerprint, name : str
    observed_from, observed_until, fitted_from : datetime
        With a time zone, or UTC without one.
    log_temperature, log_density : (float, float)
        Range of the median: log10 of K, log10 of cm-3.
    kind : str
        `single` or `joint`.
    include_superseded : bool
        Also those a later result replaced.
    """

    target: str
    instrument: str
    fingerprint: str
    name: str
    observed_from: datetime
    observed_until: datetime
    fitted_from: datetime
    log_temperature: tuple[float, float]
    log_density: tuple[float, float]
    kind: str
    include_superseded: bool


def filter_message(filters: Filters) -> results_pb2.ResultFilter:
    """Write filters as a message.

    Raises
    ------
    TypeError
        There is no such filter.
    """
    unknown = sorted(set(filters) - set(Filters.__annotations__))
    if unknown:
        raise TypeError(f"there is no filter {unknown[0]!r}; there are {', '.join(Filters.__annotations__)}")
    message = results_pb2.ResultFilter()
    for name, value in filters.items():
        match value:
            case datetime():
                getattr(message, name).CopyFrom(timestamp(value))
            case (low, high):
                setattr(message, f"{name}_min", low)
                setattr(message, f"{name}_max", high)
            case _ if name == "kind":
                message.kind = posterior_pb2.ResultKind.Value(f"RESULT_KIND_{str(value).upper()}")
            case _:
                setattr(message, name, value)
    return message


def timestamp(time: datetime) -> Timestamp:
    """Write a time as a message; one without a time zone is UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(time if time.tzinfo else time.replace(tzinfo=UTC))
    return stamp
