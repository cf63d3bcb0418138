"""One real broker for all tests of this folder but those that end brokers, which start their own."""

from collections.abc import Iterator

import pytest

from coronium.contract.access import Role
from tests.kafka.cluster import Cluster
from tests.kafka.secure import STRANGER, SecureCluster
from tests.stream.fixtures import start_plain_faust, start_service, stream

__all__ = ["start_plain_faust", "start_service", "stream"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker; nobody ends it."""
    cluster = Cluster(tmp_path_factory.mktemp("kafka") / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def broker(cluster: Cluster) -> str:
    """Address of the one broker."""
    return cluster.addresses


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """One broker that asks who is there; every role has a password, and so has a stranger."""
    secure = SecureCluster(tmp_path_factory.mktemp("secure"), [*Role, STRANGER])
    try:
        secure.cluster.start()
        yield secure
    finally:
        secure.cluster.stop()
