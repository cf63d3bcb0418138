"""The gRPC server's own life, apart from who may call it."""

import gc
import logging
from collections.abc import Iterator

import pytest

from coronium.runtime import logging as logs
from coronium.runtime.errors import StartError
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.settings import AuthSettings, GrpcSettings


class Heard(logging.Handler):
    """Keeps who spoke at which level, and nothing of what was handed over: that may be freed already."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[tuple[str, int]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.add((record.name, record.levelno))


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Everything that is logged, whatever levels other tests have left behind."""
    heard = Heard()
    loggers = [logging.getLogger(name) for name in ("", "grpc", *logs.DANGLING)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    loggers[0].addHandler(heard)
    yield heard
    loggers[0].removeHandler(heard)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def test_a_server_that_is_freed_before_it_ran_is_handed_to_no_log_record(heard: Heard) -> None:
    first = GrpcServer(GrpcSettings(port=0), AuthSettings())
    await first.start()
    try:
        second = GrpcServer(GrpcSettings(port=first.port), AuthSettings())
        with pytest.raises(StartError, match="the port is taken"):
            await second.start()
        await second.stop()
        del second
        gc.collect()
    finally:
        await first.stop()
    logging.getLogger("grpc._cython.cygrpc").info("warnings and news are heard")
    logging.getLogger("grpc._cython.other").debug("and so are others")
    assert ("grpc._cython.other", logging.DEBUG) in heard.said
    assert {level for name, level in heard.said if name in logs.DANGLING} == {logging.INFO}


def test_the_level_of_such_a_logger_is_that_of_its_library(heard: Heard) -> None:
    logs.silence_dangling()
    logger = logging.getLogger("grpc._cython.cygrpc")
    logger.setLevel(logging.NOTSET)
    logging.getLogger("grpc").setLevel(logging.ERROR)
    logger.warning("not heard")
    logger.error("heard")
    assert {level for name, level in heard.said if name == logger.name} == {logging.ERROR}
