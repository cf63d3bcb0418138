"""Who may call over gRPC: every refusal of a stranger, over real channels to the real services."""

from __future__ import annotations

import asyncio
import json
import logging
import pkgutil
from datetime import UTC, datetime, timedelta
from importlib import import_module

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import coronium.v1
from coronium.fitting.settings import FittingSettings
from coronium.gateway.settings import GatewaySettings
from coronium.ingestion.settings import IngestionSettings
from coronium.results.records import entry
from coronium.results.settings import ResultsSettings
from coronium.runtime import metrics
from coronium.runtime.auth import directory
from coronium.runtime.auth.exposure import check_exposure
from coronium.runtime.auth.scopes import METHODS, Scope
from coronium.runtime.auth.tokens import digest, new_token
from coronium.runtime.errors import SettingsError, StartError
from coronium.runtime.settings import AuthSettings
from coronium.v1 import control_pb2, control_pb2_grpc, ingestion_pb2_grpc, results_pb2, results_pb2_grpc
from tests.certificates import Authority
from tests.unit.guarded_services import (
    DEADLINE,
    accepted,
    bearer,
    channel,
    channel_to,
    eventually,
    listing,
    principals,
    reader,
    refusal,
    refused,
    served,
    services,
    submission,
    told,
)
from tests.unit.posterior_factory import posterior

__all__ = ["channel", "principals", "reader", "services"]

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED


async def test_a_known_token_with_the_scope_is_served(services, channel, reader):
    services.store.write([entry(posterior())])
    assert (await listing(channel, reader)).total == 1


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no_token"),
        pytest.param(f"Bearer {new_token()}", "bad_token", id="of nobody"),
        ("Bearer something-else", "bad_token"),
        ("Basic dXNlcjpwYXNzd29yZA==", "bad_token"),
        ("Bearer ", "bad_token"),
    ],
)
async def test_no_token_and_a_wrong_one_are_unauthenticated(channel, reader, header, reason):
    before = refused(reason)
    metadata = None if header is None else (("authorization", header),)
    error = await refusal(listing(channel, None, metadata=metadata))
    assert error.code() is UNAUTHENTICATED
    assert "token" in error.details()
    assert refused(reason) == before + 1


async def test_an_expired_token_is_unauthenticated_and_says_so(channel, principals, reader):
    old = principals.add("reader", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await eventually(lambda: told(channel, old, "expired"))
    error = await refusal(listing(channel, old))
    assert error.code() is UNAUTHENTICATED
    assert digest(old)[:8] in error.details()
    assert await accepted(channel, reader)


async def test_a_scope_that_is_not_held_is_denied(channel, reader):
    before = refused("scope")
    pause = control_pb2_grpc.ControlServiceStub(channel).Pause(
        control_pb2.PauseRequest(), timeout=DEADLINE, metadata=bearer(reader)
    )
    for call in (submission(channel, reader), pause):
        error = await refusal(call)
        assert error.code() is DENIED
        assert "reader needs the scope" in error.details()
    assert refused("scope") == before + 2


async def test_admin_may_do_everything(channel, principals):
    token = principals.add("root", "admin")
    await eventually(lambda: accepted(channel, token))
    assert (await submission(channel, token)).fingerprint


async def test_a_stranger_is_refused_before_the_message_is_read(services, channel, reader):
    error = await refusal(ingestion_pb2_grpc.IngestionServiceStub(channel).SubmitStream(timeout=DEADLINE))
    assert error.code() is UNAUTHENTICATED
    assert services.published == []


async def test_a_new_token_is_good_and_the_old_one_is_not_without_a_restart(channel, principals, reader):
    new = principals.add("reader")
    await eventually(lambda: accepted(channel, new))
    assert await accepted(channel, reader)
    principals.revoke(reader)
    await eventually(lambda: revoked(channel, reader))
    assert await accepted(channel, new)


async def revoked(channel: grpc.aio.Channel, token: str) -> bool:
    """Return whether a token is refused by now."""
    return not await accepted(channel, token) and await told(channel, token, "revoked")


async def test_a_stream_that_is_open_ends_when_its_token_is_revoked(services, channel, principals, reader):
    watch = results_pb2_grpc.ResultsServiceStub(channel).Watch(
        results_pb2.WatchRequest(), timeout=DEADLINE, metadata=bearer(reader)
    )
    await watch.initial_metadata()
    services.store.write([entry(posterior())])
    assert (await watch.read()).posterior.target == "capella"
    principals.revoke(reader)
    await eventually(lambda: revoked(channel, reader))
    services.store.write([entry(posterior("procyon"))])
    error = await refusal(watch.read())
    assert (error.code(), error.details()) == (UNAUTHENTICATED, "the token was revoked")


async def all_of(stream):
    return [message async for message in stream]


def health_watch(channel, token):
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), metadata=bearer(token))


def results_watch(channel, token):
    stub = results_pb2_grpc.ResultsServiceStub(channel)
    return stub.Watch(results_pb2.WatchRequest(), timeout=DEADLINE, metadata=bearer(token))


@pytest.mark.parametrize("watching", [health_watch, results_watch])
async def test_a_stream_on_which_nothing_is_said_ends_when_its_token_is_revoked(channel, principals, reader, watching):
    other = principals.add("another", "read")
    await eventually(lambda: accepted(channel, other))
    watch, untouched = watching(channel, reader), watching(channel, other)
    for one in (watch, untouched):
        await one.initial_metadata()
    principals.revoke(reader)
    async with asyncio.timeout(10.0):
        error = await refusal(all_of(watch))
    assert (error.code(), error.details()) == (UNAUTHENTICATED, "the token was revoked")
    assert not untouched.done()
    untouched.cancel()


async def test_a_stream_on_which_nothing_is_said_ends_when_its_token_expires(channel, principals):
    token = principals.add("reader", "read", expires_at=datetime.now(UTC) + timedelta(seconds=3))
    await eventually(lambda: accepted(channel, token))
    watch = results_watch(channel, token)
    async with asyncio.timeout(10.0):
        assert (await watch.code(), "has expired" in await watch.details()) == (UNAUTHENTICATED, True)


async def test_a_submission_that_sends_nothing_ends_when_its_token_is_revoked(channel, principals, reader):
    token = principals.add("root", "admin")
    await eventually(lambda: accepted(channel, token))
    silent = ingestion_pb2_grpc.IngestionServiceStub(channel).SubmitStream(timeout=DEADLINE, metadata=bearer(token))
    await silent.wait_for_connection()
    principals.revoke(token)
    async with asyncio.timeout(10.0):
        assert await silent.code() is UNAUTHENTICATED


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not JSON"),
        ('{"principals": [{"name": "a", "scopes": ["everything"]}]}', "is wrong at principals.0.scopes"),
        ('{"principals": [{"name": "a", "scopes": ["read"]}, {"name": "a", "scopes": ["read"]}]}', "the same name"),
        ("[" * 100_000 + "]" * 100_000, "nests too deeply"),
        ('{"principals": ' + "1" * 5000 + "}", "too long a number"),
        (None, "cannot be read"),
    ],
    ids=["no JSON", "scope", "names", "nested", "number", "gone"],
)
async def test_a_broken_file_keeps_the_last_good_one_and_is_told(channel, principals, reader, text, fault, caplog):
    caplog.set_level(logging.ERROR)
    if text is None:
        principals.path.unlink()
    else:
        principals.path.write_text(text)
    await eventually(lambda: file_is_broken(True))
    (line,) = [record for record in caplog.records if "principals file" in record.message]
    assert fault in line.detail
    assert await accepted(channel, reader)
    principals.save()
    await eventually(lambda: file_is_broken(False))
    assert await accepted(channel, reader)


async def test_whatever_happens_while_the_file_is_read_the_next_one_is_read_again(
    channel, principals, reader, monkeypatch, caplog
):
    def fails(_: object) -> None:
        raise MemoryError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(directory.file, "read", fails)
        principals.add("another", "read")
        await eventually(lambda: file_is_broken(True))
        assert await accepted(channel, reader)
    (line,) = [record for record in caplog.records if "principals file" in record.message]
    assert line.detail == "MemoryError"
    principals.revoke(reader)
    await eventually(lambda: revoked(channel, reader))
    assert await file_is_broken(False)


async def file_is_broken(broken: bool) -> bool:
    return metrics.PRINCIPALS_FILE_BROKEN._value.get() == broken


async def test_a_service_does_not_start_with_a_broken_file(tmp_path, principals):
    principals.path.write_text("[]")
    with pytest.raises(StartError, match="coronium tokens create"):
        async with served(tmp_path, AuthSettings(principals_file=str(principals.path))):
            pass


async def test_a_token_in_the_place_of_its_hash_is_not_repeated_in_the_error(tmp_path, principals):
    token = new_token()
    entry_with_token = {"name": "a", "scopes": ["read"], "tokens": [{"sha256": token}]}
    principals.path.write_text(json.dumps({"principals": [entry_with_token]}))
    with pytest.raises(StartError) as raised:
        async with served(tmp_path, AuthSettings(principals_file=str(principals.path))):
            pass
    assert token not in str(raised.value)


@pytest.mark.parametrize("release", [False, True])
async def test_a_principal_that_the_operator_quarantines_is_denied_until_released(channel, principals, reader, release):
    principals.content.named("reader").quarantined = True
    principals.save()
    await eventually(lambda: refused_as(channel, reader, DENIED))
    assert await told(channel, reader, "in quarantine")
    if release:
        principals.content.named("reader").quarantined = False
        principals.save()
        await eventually(lambda: accepted(channel, reader))


async def refused_as(channel: grpc.aio.Channel, token: str, code: grpc.StatusCode) -> bool:
    try:
        await listing(channel, token)
    except grpc.aio.AioRpcError as error:
        return error.code() is code
    return False


def served_methods() -> set[str]:
    """Return the full name of every method that a service of ours may have."""
    own = [import_module(f"coronium.v1.{module.name}") for module in pkgutil.iter_modules(coronium.v1.__path__)]
    files = [module.DESCRIPTOR for module in (*own, health_pb2, reflection_pb2) if hasattr(module, "DESCRIPTOR")]
    return {
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


def test_every_method_of_every_service_has_its_scope_in_the_table_and_nothing_else_has():
    assert served_methods() == set(METHODS)


def test_each_service_has_a_scope_of_its_own():
    for method, needed in METHODS.items():
        service, name = method.removeprefix("/coronium.v1.").split("/")[-2:]
        if service == "IngestionService":
            assert needed == {Scope.SUBMIT}
        if service == "ControlService":
            assert needed == ({Scope.READ, Scope.CONTROL} if name == "Status" else {Scope.CONTROL})
        if service == "ResultsService":
            assert needed == {Scope.READ}


async def test_a_method_that_is_in_no_table_is_refused_to_everybody(tmp_path, principals, monkeypatch):
    token = principals.add("root", "admin")
    monkeypatch.delitem(METHODS, "/coronium.v1.ResultsService/List")
    for auth in (AuthSettings(principals_file=str(principals.path)), AuthSettings()):
        async with served(tmp_path, auth) as services, channel_to(services) as channel:
            error = await refusal(listing(channel, token))
            assert error.code() is DENIED
            assert "no scope is declared" in error.details()


async def test_a_method_that_no_service_has_is_unimplemented(channel, reader):
    error = await refusal(
        channel.unary_unary("/coronium.v1.ResultsService/Drop")(b"", timeout=DEADLINE, metadata=bearer(reader))
    )
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def reflected(channel: grpc.aio.Channel, token: str | None = None):
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    metadata = None if token is None else bearer(token)
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return stub.ServerReflectionInfo(iter([request]), timeout=DEADLINE, metadata=metadata)


async def test_reflection_is_off_where_there_is_authentication(channel, principals, reader):
    root = principals.add("root", "admin")
    await eventually(lambda: accepted(channel, root))
    for token in (None, reader, root):
        assert (await refusal(reflected(channel, token).read())).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_that_was_switched_on_is_for_admins(tmp_path, principals):
    reader, root = principals.add("reader", "read"), principals.add("root", "admin")
    auth = AuthSettings(principals_file=str(principals.path))
    async with served(tmp_path, auth, reflection="on") as services, channel_to(services) as channel:
        assert (await refusal(reflected(channel).read())).code() is UNAUTHENTICATED
        assert (await refusal(reflected(channel, reader).read())).code() is DENIED
        answer = await reflected(channel, root).read()
        assert "coronium.v1.ResultsService" in str(answer)


async def test_reflection_is_on_where_everybody_may_call_unless_switched_off(tmp_path):
    async with served(tmp_path, AuthSettings()) as services, channel_to(services) as channel:
        assert "coronium.v1.ResultsService" in str(await reflected(channel).read())
    async with served(tmp_path, AuthSettings(), reflection="off") as services, channel_to(services) as channel:
        assert (await refusal(reflected(channel).read())).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_is_told_to_everybody_but_watched_only_with_a_token(channel, reader):
    stub = health_pb2_grpc.HealthStub(channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    assert (await refusal(stub.Watch(health_pb2.HealthCheckRequest()).read())).code() is UNAUTHENTICATED
    watch = stub.Watch(health_pb2.HealthCheckRequest(), metadata=bearer(reader))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_without_a_principals_file_everybody_may_call(tmp_path):
    async with served(tmp_path, AuthSettings()) as services, channel_to(services) as channel:
        assert (await listing(channel, None)).total == 0
        assert (await submission(channel, "whatever")).fingerprint


@pytest.mark.parametrize(
    ("host", "authenticated", "encrypted", "words"),
    [
        ("0.0.0.0", False, False, "without authentication"),
        ("::", False, True, "without authentication"),
        ("192.0.2.1", True, False, "without encryption"),
        ("192.0.2.1", True, True, None),
        ("127.0.0.1", False, False, None),
        ("::1", False, False, None),
        ("localhost", False, False, None),
    ],
)
def test_an_address_that_is_open_to_others_is_one_warning_or_a_refusal(host, authenticated, encrypted, words, caplog):
    facts = {"authenticated": authenticated, "encrypted": encrypted, "how": "SETTINGS"}
    check_exposure(host, **facts, required=False)
    assert len(caplog.records) == (words is not None)
    if words is None:
        check_exposure(host, **facts, required=True)
        return
    assert words in caplog.text
    with pytest.raises(SettingsError, match="set SETTINGS, or listen on"):
        check_exposure(host, **facts, required=True)


async def test_a_server_that_must_not_be_open_does_not_start(tmp_path, principals):
    with pytest.raises(SettingsError, match="CORONIUM_GRPC__CERTIFICATE_FILE"):
        async with served(tmp_path, AuthSettings(principals_file=str(principals.path), required=True), host="0.0.0.0"):
            await asyncio.sleep(0)


async def test_a_server_that_asks_for_certificates_alone_warns(tmp_path, caplog):
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("server")
    files = {"certificate_file": pair.certificate_file, "key_file": pair.key_file, "client_ca_file": authority.ca_file}
    async with served(tmp_path, AuthSettings(), host="0.0.0.0", **files):
        assert "without authentication" in caplog.text


@pytest.mark.parametrize("settings", [IngestionSettings, ResultsSettings, FittingSettings, GatewaySettings])
def test_a_service_that_must_authenticate_does_not_start_without_principals(settings, monkeypatch):
    monkeypatch.setenv("CORONIUM_AUTH__REQUIRED", "true")
    with pytest.raises(SettingsError, match="CORONIUM_AUTH__PRINCIPALS_FILE"):
        settings.load()
    monkeypatch.setenv("CORONIUM_AUTH__PRINCIPALS_FILE", "principals.json")
    assert settings.load().auth.required
