"""Structured logs: one JSON object per line on standard error, with the trace that it belongs to."""

import contextvars
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from coronium.runtime.auth.tokens import masked

_trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="")

LIBRARIES = ("faust", "mode", "aiokafka", "kafka", "asyncio", "grpc")
"""Loggers that speak at warning and above unless the level is debug."""

WIRE = ("aiokafka.conn", "kafka.net.connection", "kafka.protocol.parser")
"""Loggers that write every byte of a conversation at level debug, a password among them: they never do."""

DANGLING = ("grpc._cython.cygrpc",)
"""Loggers whose debug records name an object that is being freed: who keeps such a record (pytest does, or a handler
with a queue) keeps a pointer to nothing, and the process dies of it later. grpc.aio's is a server that never ran."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object; fields given as ``extra=`` become members, tokens become stars."""

    def __init__(self, service: str, replica: str) -> None:
        super().__init__()
        self._fixed = {"service": service, "replica": replica}

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **self._fixed,
        }
        if trace := _trace.get():
            entry["trace_id"] = trace
        entry.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return masked(json.dumps(entry, default=str))


def configure(service: str, replica: str, level: str) -> None:
    """Send all logs of this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, replica))
    logging.getLogger().handlers[:] = [handler]
    set_level(level)


def silence_dangling() -> None:
    """Drop the debug records of loggers that hand out what is being freed; their levels stay as they are."""
    for name in DANGLING:
        logging.getLogger(name).addFilter(_above_debug)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def set_level(level: str) -> None:
    """Set the least severity that is logged: debug, info, warning or error."""
    logging.getLogger().setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(level.upper() if level in ("debug", "error") else "WARNING")
    for name in WIRE:
        logging.getLogger(name).setLevel("INFO" if level == "debug" else "NOTSET")


@contextmanager
def traced(trace_id: str) -> Iterator[None]:
    """Name the trace in every log line written inside."""
    token = _trace.set(trace_id)
    try:
        yield
    finally:
        _trace.reset(token)
