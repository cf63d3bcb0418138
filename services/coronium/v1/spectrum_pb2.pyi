import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Statistic(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATISTIC_UNSPECIFIED: _ClassVar[Statistic]
    STATISTIC_POISSON: _ClassVar[Statistic]
    STATISTIC_COUNTS_WITH_READ_NOISE: _ClassVar[Statistic]
    STATISTIC_FLUX: _ClassVar[Statistic]

class SourceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_KIND_UNSPECIFIED: _ClassVar[SourceKind]
    SOURCE_KIND_RESOLVED: _ClassVar[SourceKind]
    SOURCE_KIND_STAR: _ClassVar[SourceKind]

class PlasmaModel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLASMA_MODEL_UNSPECIFIED: _ClassVar[PlasmaModel]
    PLASMA_MODEL_ISOTHERMAL: _ClassVar[PlasmaModel]
    PLASMA_MODEL_GAUSSIAN_DEM: _ClassVar[PlasmaModel]
STATISTIC_UNSPECIFIED: Statistic
STATISTIC_POISSON: Statistic
STATISTIC_COUNTS_WITH_READ_NOISE: Statistic
STATISTIC_FLUX: Statistic
SOURCE_KIND_UNSPECIFIED: SourceKind
SOURCE_KIND_RESOLVED: SourceKind
SOURCE_KIND_STAR: SourceKind
PLASMA_MODEL_UNSPECIFIED: PlasmaModel
PLASMA_MODEL_ISOTHERMAL: PlasmaModel
PLASMA_MODEL_GAUSSIAN_DEM: PlasmaModel

class Exposure(_message.Message):
    __slots__ = ("name", "start", "seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    start: _timestamp_pb2.Timestamp
    seconds: float
    def __init__(self, name: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seconds: _Optional[float] = ...) -> None: ...

class Channel(_message.Message):
    __slots__ = ("name", "wavelength_edges", "statistic", "counts", "area_exposure", "mask", "background", "background_scale", "read_variance", "line_width")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WAVELENGTH_EDGES_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    AREA_EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_SCALE_FIELD_NUMBER: _ClassVar[int]
    READ_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    LINE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    wavelength_edges: _containers.RepeatedScalarFieldContainer[float]
    statistic: Statistic
    counts: _containers.RepeatedScalarFieldContainer[float]
    area_exposure: _containers.RepeatedScalarFieldContainer[float]
    mask: bytes
    background: _containers.RepeatedScalarFieldContainer[float]
    background_scale: _containers.RepeatedScalarFieldContainer[float]
    read_variance: _containers.RepeatedScalarFieldContainer[float]
    line_width: float
    def __init__(self, name: _Optional[str] = ..., wavelength_edges: _Optional[_Iterable[float]] = ..., statistic: _Optional[_Union[Statistic, str]] = ..., counts: _Optional[_Iterable[float]] = ..., area_exposure: _Optional[_Iterable[float]] = ..., mask: _Optional[bytes] = ..., background: _Optional[_Iterable[float]] = ..., background_scale: _Optional[_Iterable[float]] = ..., read_variance: _Optional[_Iterable[float]] = ..., line_width: _Optional[float] = ...) -> None: ...

class Spectrum(_message.Message):
    __slots__ = ("target", "instrument", "source", "exposures", "channels", "distance_pc", "name", "annotations", "plasma_model")
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_PC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    PLASMA_MODEL_FIELD_NUMBER: _ClassVar[int]
    target: str
    instrument: str
    source: SourceKind
    exposures: _containers.RepeatedCompositeFieldContainer[Exposure]
    channels: _containers.RepeatedCompositeFieldContainer[Channel]
    distance_pc: float
    name: str
    annotations: _containers.ScalarMap[str, str]
    plasma_model: PlasmaModel
    def __init__(self, target: _Optional[str] = ..., instrument: _Optional[str] = ..., source: _Optional[_Union[SourceKind, str]] = ..., exposures: _Optional[_Iterable[_Union[Exposure, _Mapping]]] = ..., channels: _Optional[_Iterable[_Union[Channel, _Mapping]]] = ..., distance_pc: _Optional[float] = ..., name: _Optional[str] = ..., annotations: _Optional[_Mapping[str, str]] = ..., plasma_model: _Optional[_Union[PlasmaModel, str]] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("spectrum", "fingerprint", "received_at", "signal_to_noise")
    SPECTRUM_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_TO_NOISE_FIELD_NUMBER: _ClassVar[int]
    spectrum: Spectrum
    fingerprint: str
    received_at: _timestamp_pb2.Timestamp
    signal_to_noise: float
    def __init__(self, spectrum: _Optional[_Union[Spectrum, _Mapping]] = ..., fingerprint: _Optional[str] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signal_to_noise: _Optional[float] = ...) -> None: ...
