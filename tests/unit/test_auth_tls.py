"""Encryption of gRPC, and clients that must show a certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from coronium.runtime.errors import StartError
from coronium.runtime.settings import AuthSettings
from tests.certificates import Authority
from tests.unit.guarded_services import Services, bearer, channel_to, listing, principals, refusal, served

__all__ = ["principals"]

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path / "stranger", "another authority")


@pytest.fixture
async def services(tmp_path: Path, authority: Authority) -> AsyncIterator[Services]:
    """Encrypted, for clients with a certificate of the authority."""
    pair = authority.issue("server")
    files = {"certificate_file": pair.certificate_file, "key_file": pair.key_file, "client_ca_file": authority.ca_file}
    async with served(tmp_path, AuthSettings(), **files) as services:
        yield services


async def test_a_client_with_a_certificate_is_served(services: Services, authority: Authority) -> None:
    own = authority.issue("client")
    credentials = grpc.ssl_channel_credentials(authority.certificate, own.key, own.certificate)
    async with channel_to(services, credentials) as channel:
        assert (await listing(channel, None)).total == 0


async def test_a_client_without_a_certificate_is_refused(services: Services, authority: Authority) -> None:
    async with channel_to(services, grpc.ssl_channel_credentials(authority.certificate)) as channel:
        assert (await refusal(listing(channel, None))).code() is UNAVAILABLE


async def test_a_client_with_a_certificate_of_another_authority_is_refused(
    services: Services, authority: Authority, stranger: Authority
) -> None:
    own = stranger.issue("client")
    credentials = grpc.ssl_channel_credentials(authority.certificate, own.key, own.certificate)
    async with channel_to(services, credentials) as channel:
        assert (await refusal(listing(channel, None))).code() is UNAVAILABLE


async def test_a_client_without_encryption_is_refused(services: Services) -> None:
    async with channel_to(services) as channel:
        assert (await refusal(listing(channel, None))).code() is UNAVAILABLE


async def test_a_server_of_another_authority_is_not_believed(services: Services, stranger: Authority) -> None:
    async with channel_to(services, grpc.ssl_channel_credentials(stranger.certificate)) as channel:
        error = await refusal(listing(channel, None))
        assert error.code() is UNAVAILABLE
        assert "CERTIFICATE_VERIFY_FAILED" in error.details()


async def test_a_certificate_alone_is_no_token(tmp_path: Path, authority: Authority, principals) -> None:
    token = principals.add("reader", "read")
    pair = authority.issue("server")
    files = {"certificate_file": pair.certificate_file, "key_file": pair.key_file, "client_ca_file": authority.ca_file}
    auth = AuthSettings(principals_file=str(principals.path))
    credentials = grpc.ssl_channel_credentials(authority.certificate, pair.key, pair.certificate)
    async with served(tmp_path, auth, **files) as services, channel_to(services, credentials) as channel:
        assert (await refusal(listing(channel, None))).code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await listing(channel, None, metadata=bearer(token))).total == 0


@pytest.mark.parametrize("fault", ["missing", "another key", "no authority"])
async def test_a_certificate_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, authority: Authority, fault: str
) -> None:
    pair, other = authority.issue("one"), authority.issue("other")
    files = {"certificate_file": pair.certificate_file, "key_file": pair.key_file}
    files |= {
        "missing": {"key_file": str(tmp_path / "none.key")},
        "another key": {"key_file": other.key_file},
        "no authority": {"client_ca_file": pair.key_file},
    }[fault]
    with pytest.raises(StartError, match="CORONIUM_GRPC__CERTIFICATE_FILE"):
        async with served(tmp_path, AuthSettings(), **files):
            pass
