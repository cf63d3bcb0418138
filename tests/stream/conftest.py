"""One embedded broker for all stream tests."""

from collections.abc import Iterator

import pytest

from tests.stream.broker import embedded_broker
from tests.stream.fixtures import start_plain_faust, start_service, stream

__all__ = ["start_plain_faust", "start_service", "stream"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an embedded broker; its records live in memory until the last test has ended."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as address:
        yield address
