"""The gRPC server's own life, apart from who may call it."""

import gc
import logging

import pytest

from coronium.runtime.errors import StartError
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.settings import AuthSettings, GrpcSettings


class Names(logging.Handler):
    """Keeps who spoke, and nothing of what was handed over: that may be freed already."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.name)


@pytest.fixture
def names() -> Names:
    names = Names()
    root = logging.getLogger()
    level = root.level
    root.addHandler(names)
    root.setLevel(logging.DEBUG)
    yield names
    root.setLevel(level)
    root.removeHandler(names)


async def test_a_server_that_is_freed_before_it_ran_is_handed_to_no_log_record(names: Names) -> None:
    first = GrpcServer(GrpcSettings(port=0), AuthSettings())
    await first.start()
    second = GrpcServer(GrpcSettings(port=first.port), AuthSettings())
    with pytest.raises(StartError, match="the port is taken"):
        await second.start()
    await second.stop()
    del second
    gc.collect()
    await first.stop()
    assert "grpc._cython.cygrpc" not in names.heard
