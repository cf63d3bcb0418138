import datetime

from coronium.v1 import dead_letter_pb2 as _dead_letter_pb2
from coronium.v1 import posterior_pb2 as _posterior_pb2
from coronium.v1 import spectrum_pb2 as _spectrum_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResultFilter(_message.Message):
    __slots__ = ("target", "instrument", "fingerprint", "observed_from", "observed_until", "fitted_from", "log_temperature_min", "log_temperature_max", "log_density_min", "log_density_max", "kind", "include_superseded", "name")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    FITTED_FROM_FIELD_NUMBER: _ClassVar[int]
    LOG_TEMPERATURE_MIN_FIELD_NUMBER: _ClassVar[int]
    LOG_TEMPERATURE_MAX_FIELD_NUMBER: _ClassVar[int]
    LOG_DENSITY_MIN_FIELD_NUMBER: _ClassVar[int]
    LOG_DENSITY_MAX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    target: str
    instrument: str
    fingerprint: str
    observed_from: _timestamp_pb2.Timestamp
    observed_until: _timestamp_pb2.Timestamp
    fitted_from: _timestamp_pb2.Timestamp
    log_temperature_min: float
    log_temperature_max: float
    log_density_min: float
    log_density_max: float
    kind: _posterior_pb2.ResultKind
    include_superseded: bool
    name: str
    def __init__(self, target: _Optional[str] = ..., instrument: _Optional[str] = ..., fingerprint: _Optional[str] = ..., observed_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fitted_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log_temperature_min: _Optional[float] = ..., log_temperature_max: _Optional[float] = ..., log_density_min: _Optional[float] = ..., log_density_max: _Optional[float] = ..., kind: _Optional[_Union[_posterior_pb2.ResultKind, str]] = ..., include_superseded: _Optional[bool] = ..., name: _Optional[str] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("id", "with_observation")
    ID_FIELD_NUMBER: _ClassVar[int]
    WITH_OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    with_observation: bool
    def __init__(self, id: _Optional[str] = ..., with_observation: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("posterior", "observation", "superseded_by")
    POSTERIOR_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_BY_FIELD_NUMBER: _ClassVar[int]
    posterior: _posterior_pb2.Posterior
    observation: _spectrum_pb2.Observation
    superseded_by: str
    def __init__(self, posterior: _Optional[_Union[_posterior_pb2.Posterior, _Mapping]] = ..., observation: _Optional[_Union[_spectrum_pb2.Observation, _Mapping]] = ..., superseded_by: _Optional[str] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: ResultFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[ResultFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("posteriors", "next_page_token", "total")
    POSTERIORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    posteriors: _containers.RepeatedCompositeFieldContainer[_posterior_pb2.Posterior]
    next_page_token: str
    total: int
    def __init__(self, posteriors: _Optional[_Iterable[_Union[_posterior_pb2.Posterior, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class DrawsRequest(_message.Message):
    __slots__ = ("result_id",)
    RESULT_ID_FIELD_NUMBER: _ClassVar[int]
    result_id: str
    def __init__(self, result_id: _Optional[str] = ...) -> None: ...

class DrawsResponse(_message.Message):
    __slots__ = ("draws",)
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    draws: _posterior_pb2.Draws
    def __init__(self, draws: _Optional[_Union[_posterior_pb2.Draws, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("filter", "since")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    filter: ResultFilter
    since: _timestamp_pb2.Timestamp
    def __init__(self, filter: _Optional[_Union[ResultFilter, _Mapping]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("posterior",)
    POSTERIOR_FIELD_NUMBER: _ClassVar[int]
    posterior: _posterior_pb2.Posterior
    def __init__(self, posterior: _Optional[_Union[_posterior_pb2.Posterior, _Mapping]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("stage", "page_size", "page_token")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    stage: str
    page_size: int
    page_token: str
    def __init__(self, stage: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token", "total")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[_dead_letter_pb2.DeadLetter]
    next_page_token: str
    total: int
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[_dead_letter_pb2.DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...
