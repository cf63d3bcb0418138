import datetime

from coronium.v1 import features_pb2 as _features_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EpochRecord(_message.Message):
    __slots__ = ("target", "fingerprint", "result_id", "features", "recorded_at")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    RESULT_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    target: str
    fingerprint: str
    result_id: str
    features: _features_pb2.Features
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, target: _Optional[str] = ..., fingerprint: _Optional[str] = ..., result_id: _Optional[str] = ..., features: _Optional[_Union[_features_pb2.Features, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
