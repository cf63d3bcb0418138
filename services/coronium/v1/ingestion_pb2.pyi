from coronium.v1 import spectrum_pb2 as _spectrum_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitRequest(_message.Message):
    __slots__ = ("spectrum",)
    SPECTRUM_FIELD_NUMBER: _ClassVar[int]
    spectrum: _spectrum_pb2.Spectrum
    def __init__(self, spectrum: _Optional[_Union[_spectrum_pb2.Spectrum, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("fingerprint", "duplicate")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    duplicate: bool
    def __init__(self, fingerprint: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class SubmitStreamRequest(_message.Message):
    __slots__ = ("spectrum",)
    SPECTRUM_FIELD_NUMBER: _ClassVar[int]
    spectrum: _spectrum_pb2.Spectrum
    def __init__(self, spectrum: _Optional[_Union[_spectrum_pb2.Spectrum, _Mapping]] = ...) -> None: ...

class SubmitStreamResponse(_message.Message):
    __slots__ = ("fingerprints", "rejections")
    FINGERPRINTS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    fingerprints: _containers.RepeatedScalarFieldContainer[str]
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, fingerprints: _Optional[_Iterable[str]] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
