"""How much one caller may ask over gRPC: every limit, over real channels to the real services."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

from coronium.client.connection import _TOO_LARGE
from coronium.contract.limits import MAX_GRPC_BYTES, MAX_PARTS
from coronium.results.service import ResultsServicer
from coronium.runtime import metrics
from coronium.runtime.auth.limits import TokenBucket
from coronium.runtime.auth.peers import caller_address, networks
from coronium.runtime.auth.quarantine import Quarantine
from coronium.runtime.auth.tokens import new_token
from coronium.runtime.logging import JsonFormatter
from coronium.runtime.settings import AuthSettings
from coronium.v1 import results_pb2, results_pb2_grpc
from tests.unit.guarded_services import (
    DEADLINE,
    accepted,
    bearer,
    channel,
    channel_to,
    eventually,
    known,
    listing,
    principals,
    reader,
    refusal,
    refused,
    retry_after,
    served,
    services,
    submission,
    submission_stream,
)

__all__ = ["channel", "principals", "reader", "services"]

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
SUBMIT = "/coronium.v1.IngestionService/Submit"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def watching(channel: grpc.aio.Channel, token: str):
    stub = results_pb2_grpc.ResultsServiceStub(channel)
    return stub.Watch(results_pb2.WatchRequest(), timeout=DEADLINE, metadata=bearer(token))


def test_a_bucket_lets_through_its_rate_and_one_second_of_it_at_once():
    clock = Clock()
    bucket = TokenBucket(clock)
    assert [bucket.take(2.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    clock.now += 0.5
    assert bucket.take(2.0) == 0.0
    clock.now += 1000.0
    assert [bucket.take(2.0) for _ in range(3)] == [0.0, 0.0, 0.5]


async def test_the_rate_of_a_principal_is_limited_and_that_of_others_is_their_own(channel, principals, reader):
    slow = principals.add("slow", "read", calls_per_second=0.01)
    # The one call that it may make at once.
    await eventually(lambda: accepted(channel, slow))
    error = await refusal(listing(channel, slow))
    assert error.code() is EXHAUSTED
    assert "0.01 calls per second" in error.details()
    assert 0 < retry_after(error) <= 100
    assert await accepted(channel, reader)


async def test_open_calls_of_a_principal_are_limited_and_a_stream_counts_while_it_is_open(channel, principals):
    token = principals.add("watcher", "read", concurrent_calls=2)
    await eventually(lambda: accepted(channel, token))
    watches = [watching(channel, token) for _ in range(2)]
    for watch in watches:
        await watch.initial_metadata()
    error = await refusal(listing(channel, token))
    assert error.code() is EXHAUSTED
    assert "2 calls open" in error.details()
    assert retry_after(error) > 0
    watches[0].cancel()
    await eventually(lambda: accepted(channel, token))


async def test_a_stream_is_slowed_to_the_rate_of_its_principal(channel, principals):
    token = principals.add("station", "submit", calls_per_second=2)
    await eventually(lambda: known(channel, token))
    begun = asyncio.get_running_loop().time()
    answer = await submission_stream(channel, token, 7)
    assert len(answer.fingerprints) == 7
    # Two come at once, the other five at two per second.
    assert asyncio.get_running_loop().time() - begun > 2.0


async def test_a_stream_of_too_many_messages_is_refused(tmp_path, principals):
    token = principals.add("station", "submit")
    auth = AuthSettings(principals_file=str(principals.path))
    async with served(tmp_path, auth, max_stream_messages=3) as services, channel_to(services) as channel:
        assert len((await submission_stream(channel, token, 3)).fingerprints) == 3
        before = refused("stream_length")
        error = await refusal(submission_stream(channel, token, 4))
        assert error.code() is EXHAUSTED
        assert "3 messages; begin another" in error.details()
        assert refused("stream_length") == before + 1


async def test_an_address_with_too_many_failures_is_refused_for_a_while(tmp_path, principals, caplog):
    good = principals.add("reader", "read")
    auth = AuthSettings(principals_file=str(principals.path), quarantine_failures=3, quarantine_seconds=2.0)
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        for _ in range(3):
            assert (await refusal(listing(channel, new_token()))).code() is grpc.StatusCode.UNAUTHENTICATED
        error = await refusal(listing(channel, good))
        assert error.code() is EXHAUSTED
        assert 0 < retry_after(error) <= 2.0
        assert 'coronium_quarantined{kind="address"} 1.0' in scraped()
        (line,) = [record for record in caplog.records if "quarantined" in record.message]
        assert (line.kind, line.who) == ("address", "127.0.0.1")
        # Whoever a trusted proxy calls for is somebody else.
        assert await listing(channel, None, metadata=(*bearer(good), ("x-forwarded-for", "192.0.2.7")))
        await eventually(lambda: accepted(channel, good))
        assert 'coronium_quarantined{kind="address"} 0.0' in scraped()


async def test_an_expired_token_counts_as_a_failure_of_its_address(tmp_path, principals):
    old = principals.add("reader", "read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    auth = AuthSettings(principals_file=str(principals.path), quarantine_failures=2)
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        codes = [(await refusal(listing(channel, old))).code() for _ in range(3)]
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2 + [EXHAUSTED]


async def test_an_expired_token_uses_up_nothing_of_its_principal(tmp_path, principals):
    good = principals.add("reader", "read", calls_per_second=0.01)
    old = principals.add("reader", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    auth = AuthSettings(principals_file=str(principals.path))
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        assert (await refusal(listing(channel, old))).code() is grpc.StatusCode.UNAUTHENTICATED
        assert await accepted(channel, good)


async def test_calls_that_a_principal_may_not_make_count_for_its_rate(tmp_path, principals):
    token = principals.add("station", "submit", calls_per_second=0.01)
    auth = AuthSettings(principals_file=str(principals.path))
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        codes = [(await refusal(listing(channel, token))).code() for _ in range(2)]
        assert codes == [grpc.StatusCode.PERMISSION_DENIED, EXHAUSTED]


def scraped() -> str:
    return generate_latest(metrics.REGISTRY).decode()


def bad_spectrum(channel: grpc.aio.Channel, token: str):
    return submission(channel, token, bad=True)


def garbage(channel: grpc.aio.Channel, token: str):
    return channel.unary_unary(SUBMIT)(b"\xff\xff", timeout=DEADLINE, metadata=bearer(token))


def garbage_in_a_stream(channel: grpc.aio.Channel, token: str):
    return channel.stream_unary(f"{SUBMIT}Stream")(iter([b"\xff"]), timeout=DEADLINE, metadata=bearer(token))


def too_many_parts(channel: grpc.aio.Channel, token: str):
    parts = b"\x2a\x00" * (MAX_PARTS + 1)
    length = bytes((len(parts) & 0x7F | 0x80, len(parts) >> 7 & 0x7F | 0x80, len(parts) >> 14))
    return channel.unary_unary(SUBMIT)(b"\x0a" + length + parts, timeout=DEADLINE, metadata=bearer(token))


@pytest.mark.parametrize("nonsense", [bad_spectrum, garbage, garbage_in_a_stream, too_many_parts])
async def test_who_submits_too_much_nonsense_may_read_but_not_submit_for_a_while(tmp_path, principals, nonsense):
    token = principals.add("station", "submit", "read")
    auth = AuthSettings(principals_file=str(principals.path), quarantine_rejections=2, quarantine_seconds=2.0)
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        for _ in range(2):
            assert (await refusal(nonsense(channel, token))).code() is INVALID
        error = await refusal(submission(channel, token))
        assert error.code() is EXHAUSTED
        assert "of station were rejected" in error.details()
        assert await accepted(channel, token)
        assert services.published == []
        async with asyncio.timeout(DEADLINE):
            await asyncio.sleep(retry_after(error))
            assert (await submission(channel, token)).fingerprint


async def test_questions_that_cannot_be_read_do_not_quarantine_a_submitter(tmp_path, principals):
    token = principals.add("station", "submit", "read")
    auth = AuthSettings(principals_file=str(principals.path), quarantine_rejections=2)
    async with served(tmp_path, auth) as services, channel_to(services) as channel:
        ask = channel.unary_unary("/coronium.v1.ResultsService/List")
        for _ in range(3):
            assert (await refusal(ask(b"\xff\xff", timeout=DEADLINE, metadata=bearer(token)))).code() is INVALID
        assert (await submission(channel, token)).fingerprint


def silent_checks(channel: grpc.aio.Channel, count: int, address: str = ""):
    """Open calls without a token that never send their message."""
    check = channel.stream_stream("/grpc.health.v1.Health/Check")
    return [
        check(timeout=DEADLINE, metadata=(("x-forwarded-for", address),) if address else None) for _ in range(count)
    ]


async def ended(calls) -> list[grpc.StatusCode]:
    return [await call.code() for call in calls]


async def test_a_stranger_holds_few_calls_and_not_for_long(tmp_path, principals):
    token = principals.add("reader", "read")
    auth = AuthSettings(principals_file=str(principals.path))
    async with (
        served(tmp_path, auth, max_calls=64) as services,
        channel_to(services) as strangers,
        channel_to(services) as channel,
    ):
        check = health_pb2_grpc.HealthStub(channel).Check
        before = refused("concurrency")
        begun = asyncio.get_running_loop().time()
        # All calls that the server has room for, from the address that the reader has too.
        calls = silent_checks(strangers, 64)
        await asyncio.sleep(0.3)
        assert await accepted(channel, token)
        assert (await refusal(check(health_pb2.HealthCheckRequest(), timeout=DEADLINE))).code() is EXHAUSTED
        # Another address has room of its own.
        elsewhere = (("x-forwarded-for", "192.0.2.7"),)
        assert (await check(health_pb2.HealthCheckRequest(), timeout=DEADLINE, metadata=elsewhere)).status
        codes = await ended(calls)
        assert asyncio.get_running_loop().time() - begun < 5.0
        assert codes.count(EXHAUSTED) == 56
        assert codes.count(grpc.StatusCode.DEADLINE_EXCEEDED) == 8
        assert refused("concurrency") == before + 57
        assert (await check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)).status


async def test_strangers_from_many_addresses_leave_room_for_those_with_a_token(tmp_path, principals):
    token = principals.add("reader", "read")
    auth = AuthSettings(principals_file=str(principals.path))
    async with (
        served(tmp_path, auth, max_calls=16) as services,
        channel_to(services) as strangers,
        channel_to(services) as channel,
    ):
        calls = [call for number in range(15) for call in silent_checks(strangers, 1, f"192.0.2.{number}")]
        await asyncio.sleep(0.3)
        assert await accepted(channel, token)
        codes = await ended(calls)
        assert (codes.count(EXHAUSTED), codes.count(grpc.StatusCode.DEADLINE_EXCEEDED)) == (11, 4)


def test_a_quarantine_ends_and_begins_anew_and_forgets_the_longest_quiet():
    clock = Clock()
    quarantine = Quarantine("address", faults=2, window=10.0, seconds=30.0, most=3, clock=clock)
    quarantine.note("a")
    clock.now += 11.0
    quarantine.note("a")
    assert quarantine.remaining("a") == 0.0, "the first fault is too old"
    quarantine.note("a")
    assert quarantine.remaining("a") == 30.0
    assert len(quarantine) == 1
    quarantine.note("a")
    clock.now += 30.0
    assert quarantine.remaining("a") == 0.0
    assert len(quarantine) == 0
    for who in ("b", "c", "d", "e"):
        quarantine.note(who)
    assert set(quarantine._records) == {"c", "d", "e"}


def test_a_quarantine_of_no_faults_never_begins():
    quarantine = Quarantine("address", faults=0, window=10.0, seconds=30.0)
    for _ in range(1000):
        quarantine.note("a")
    assert quarantine.remaining("a") == 0.0


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("ipv4:192.0.2.1:50000", "", "192.0.2.1"),
        ("ipv4:192.0.2.1:50000", "198.51.100.1", "192.0.2.1"),
        ("ipv4:10.1.2.3:50000", "198.51.100.1", "198.51.100.1"),
        ("ipv4:10.1.2.3:50000", "nonsense", "10.1.2.3"),
        ("ipv6:%5B2001:db8::1%5D:50000", "", "2001:db8::/64"),
        ("ipv6:[2001:db8::2]:50000", "", "2001:db8::/64"),
        ("ipv6:[::ffff:192.0.2.1]:50000", "", "192.0.2.1"),
        ("ipv6:[::1]:50000", "::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "", "unix:"),
    ],
)
def test_faults_are_counted_under_the_address_that_can_be_believed(peer, forwarded, counted):
    assert caller_address(peer, forwarded, networks("10.0.0.0/8, ::1")) == counted


@pytest.mark.parametrize("timeout", [None, 1e6])
async def test_a_call_without_a_deadline_or_with_a_longer_one_is_refused(channel, reader, timeout):
    error = await refusal(listing(channel, reader, timeout=timeout))
    assert error.code() is INVALID
    assert "deadline" in error.details()


async def test_a_message_that_is_too_large_is_refused(services, channel, principals):
    token = principals.add("station", "submit")
    await eventually(lambda: known(channel, token))
    async with channel_to(services, options=[("grpc.max_send_message_length", -1)]) as wide:
        passes = await refusal(wide.unary_unary(SUBMIT)(bytes(MAX_GRPC_BYTES), timeout=60, metadata=bearer(token)))
        assert passes.code() is INVALID
        assert passes.details().startswith("the message cannot be read")
        large = await refusal(wide.unary_unary(SUBMIT)(bytes(MAX_GRPC_BYTES + 1), timeout=60, metadata=bearer(token)))
        # The client knows it by these words.
        assert (large.code(), _TOO_LARGE in large.details()) == (EXHAUSTED, True)
    assert services.published == []


async def test_more_calls_than_the_server_has_room_for_are_refused(tmp_path):
    async with served(tmp_path, AuthSettings(), max_calls=2) as services, channel_to(services) as channel:
        watches = [watching(channel, "nobody") for _ in range(2)]
        for watch in watches:
            await watch.initial_metadata()
        assert (await refusal(listing(channel, None))).code() is EXHAUSTED
        watches[0].cancel()
        await eventually(lambda: accepted(channel, "nobody"))


async def test_one_connection_holds_only_so_many_calls_and_others_go_on(tmp_path):
    async with (
        served(tmp_path, AuthSettings(), max_connection_calls=2) as services,
        channel_to(services) as greedy,
        channel_to(services) as other,
    ):
        watches = [watching(greedy, "nobody") for _ in range(2)]
        for watch in watches:
            await watch.initial_metadata()
        # The third waits in the client for its turn.
        error = await refusal(listing(greedy, None, timeout=0.5))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await accepted(other, "nobody")


async def test_a_client_that_pings_without_end_is_cut_off(tmp_path):
    pings = [("grpc.keepalive_time_ms", 50), ("grpc.http2.max_pings_without_data", 0)]
    async with served(tmp_path, AuthSettings()) as services, channel_to(services, options=pings) as channel:
        watch = watching(channel, "nobody")
        await watch.initial_metadata()
        error = await refusal(watch.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == "Too many pings"


async def test_metadata_that_are_too_large_are_refused(channel, reader):
    large = (*bearer(reader), ("x-padding", "x" * 100_000))
    error = await refusal(listing(channel, None, metadata=large))
    assert error.code() is EXHAUSTED
    assert await accepted(channel, reader)


async def test_what_goes_wrong_inside_is_the_operators_to_read(channel, reader, monkeypatch, caplog):
    async def fails(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(JsonFormatter("results", "one").format(record))  # type: ignore[method-assign]
    monkeypatch.setattr(logging.getLogger("coronium.runtime.grpc_guard"), "handlers", [handler])

    monkeypatch.setattr(ResultsServicer, "_find", fails)
    stub = results_pb2_grpc.ResultsServiceStub(channel)
    error = await refusal(stub.Get(results_pb2.GetRequest(id="x"), timeout=DEADLINE, metadata=bearer(reader)))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in error.details()
    (record,) = [record for record in caplog.records if record.message == "a call failed"]
    assert (record.method, record.error) == ("/coronium.v1.ResultsService/Get", "RuntimeError")
    assert record.where.endswith(" fails")
    line = written[-1]
    assert "hunter2" not in line
    # What the caller is told leads to the line.
    assert json.loads(line)["trace_id"] in error.details()
