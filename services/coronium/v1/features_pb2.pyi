import datetime

from coronium.v1 import spectrum_pb2 as _spectrum_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LineProbability(_message.Message):
    __slots__ = ("label", "wavelength", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    WAVELENGTH_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    wavelength: float
    probability: float
    def __init__(self, label: _Optional[str] = ..., wavelength: _Optional[float] = ..., probability: _Optional[float] = ...) -> None: ...

class GridPosterior(_message.Message):
    __slots__ = ("log_temperature", "log_density", "probability")
    LOG_TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    LOG_DENSITY_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    log_temperature: _containers.RepeatedScalarFieldContainer[float]
    log_density: _containers.RepeatedScalarFieldContainer[float]
    probability: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, log_temperature: _Optional[_Iterable[float]] = ..., log_density: _Optional[_Iterable[float]] = ..., probability: _Optional[_Iterable[float]] = ...) -> None: ...

class DenoisedChannel(_message.Message):
    __slots__ = ("name", "counts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    counts: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., counts: _Optional[_Iterable[float]] = ...) -> None: ...

class Features(_message.Message):
    __slots__ = ("observation", "network_version", "grid", "lines", "denoised", "extracted_at", "network_seconds")
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_VERSION_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DENOISED_FIELD_NUMBER: _ClassVar[int]
    EXTRACTED_AT_FIELD_NUMBER: _ClassVar[int]
    NETWORK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    observation: _spectrum_pb2.Observation
    network_version: str
    grid: GridPosterior
    lines: _containers.RepeatedCompositeFieldContainer[LineProbability]
    denoised: _containers.RepeatedCompositeFieldContainer[DenoisedChannel]
    extracted_at: _timestamp_pb2.Timestamp
    network_seconds: float
    def __init__(self, observation: _Optional[_Union[_spectrum_pb2.Observation, _Mapping]] = ..., network_version: _Optional[str] = ..., grid: _Optional[_Union[GridPosterior, _Mapping]] = ..., lines: _Optional[_Iterable[_Union[LineProbability, _Mapping]]] = ..., denoised: _Optional[_Iterable[_Union[DenoisedChannel, _Mapping]]] = ..., extracted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., network_seconds: _Optional[float] = ...) -> None: ...
