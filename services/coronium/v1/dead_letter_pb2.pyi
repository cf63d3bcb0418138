import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeadLetterReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEAD_LETTER_REASON_UNSPECIFIED: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_MALFORMED: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_UNKNOWN_SCHEMA: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_INVALID: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_UNKNOWN_INSTRUMENT: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_TOO_LARGE: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_CRASH: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_DEADLINE: _ClassVar[DeadLetterReason]
    DEAD_LETTER_REASON_INTERNAL: _ClassVar[DeadLetterReason]
DEAD_LETTER_REASON_UNSPECIFIED: DeadLetterReason
DEAD_LETTER_REASON_MALFORMED: DeadLetterReason
DEAD_LETTER_REASON_UNKNOWN_SCHEMA: DeadLetterReason
DEAD_LETTER_REASON_INVALID: DeadLetterReason
DEAD_LETTER_REASON_UNKNOWN_INSTRUMENT: DeadLetterReason
DEAD_LETTER_REASON_TOO_LARGE: DeadLetterReason
DEAD_LETTER_REASON_CRASH: DeadLetterReason
DEAD_LETTER_REASON_DEADLINE: DeadLetterReason
DEAD_LETTER_REASON_INTERNAL: DeadLetterReason

class DeadLetter(_message.Message):
    __slots__ = ("stage", "reason", "detail", "source_topic", "source_partition", "source_offset", "key", "value", "headers", "attempts", "failed_at")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_TOPIC_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PARTITION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_AT_FIELD_NUMBER: _ClassVar[int]
    stage: str
    reason: DeadLetterReason
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    key: bytes
    value: bytes
    headers: _containers.ScalarMap[str, bytes]
    attempts: int
    failed_at: _timestamp_pb2.Timestamp
    def __init__(self, stage: _Optional[str] = ..., reason: _Optional[_Union[DeadLetterReason, str]] = ..., detail: _Optional[str] = ..., source_topic: _Optional[str] = ..., source_partition: _Optional[int] = ..., source_offset: _Optional[int] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Mapping[str, bytes]] = ..., attempts: _Optional[int] = ..., failed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
