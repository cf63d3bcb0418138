"""`ResultsService` over a real gRPC channel, on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest
from sqlalchemy import Engine, text

from coronium.contract.limits import GRPC_CHANNEL_OPTIONS
from coronium.results.database import open_engine
from coronium.results.queries import Queries
from coronium.results.records import Record, entry
from coronium.results.service import ResultsServicer
from coronium.results.store import Store
from coronium.results.watch import ChangeFeed
from coronium.v1 import posterior_pb2, results_pb2, results_pb2_grpc
from tests.unit.posterior_factory import DRAWS, NAMES, dead_letter, joint, observation, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]

DEADLINE = 20.0


@pytest.fixture
async def results(engine: Engine) -> AsyncIterator[results_pb2_grpc.ResultsServiceStub]:
    server = grpc.aio.server(options=GRPC_CHANNEL_OPTIONS)
    servicer = ResultsServicer(Queries(engine), ChangeFeed(Queries(engine), interval=0.02))
    results_pb2_grpc.add_ResultsServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=GRPC_CHANNEL_OPTIONS) as channel:
        yield results_pb2_grpc.ResultsServiceStub(channel)
    await server.stop(None)


def write(engine: Engine, *records: Record) -> None:
    Store(engine).write([entry(record) for record in records])


async def refusal(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code(), raised.value.details() or ""


async def test_questions_without_an_answer_do_not_keep_what_arrives_from_being_stored(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(Queries, "results", lambda *_: answered.wait(DEADLINE))
    asked = [results.List(results_pb2.ListRequest(), timeout=DEADLINE) for _ in range(50)]
    await asyncio.sleep(0.5)
    try:
        async with asyncio.timeout(5.0):
            await asyncio.to_thread(write, engine, posterior())
    finally:
        answered.set()
        for call in asked:
            call.cancel()


async def test_get_answers_by_result_id_and_by_fingerprint(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine
) -> None:
    old, new = posterior(), posterior(priors="default-2", fitted_hours=5.0)
    write(engine, old, new, observation())
    by_id = await results.Get(results_pb2.GetRequest(id=old.result_id), timeout=DEADLINE)
    by_fingerprint = await results.Get(
        results_pb2.GetRequest(id=old.fingerprints[0], with_observation=True), timeout=DEADLINE
    )
    assert (by_id.posterior, by_id.superseded_by) == (old, new.result_id)
    assert (by_fingerprint.posterior, by_fingerprint.superseded_by) == (new, "")
    assert by_fingerprint.observation == observation()
    assert not by_id.HasField("observation")


async def test_a_joint_result_comes_without_an_observation(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine
) -> None:
    both = joint(seeds=(0, 1))
    write(engine, both, observation(seed=0), observation(seed=1))
    got = await results.Get(results_pb2.GetRequest(id=both.result_id, with_observation=True), timeout=DEADLINE)
    assert got.posterior == both
    assert not got.HasField("observation")


async def test_what_is_missing_is_explained(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    write(engine, observation(seed=1), dead_letter(seed=2))
    explanations = {
        "0" * 32: "There is no result and no spectrum",
        observation(seed=1).fingerprint: "was received and has no result yet",
        observation(seed=2).fingerprint: "fitting set it aside (The worker died three times with this record.)",
    }
    for identifier, explanation in explanations.items():
        code, sentence = await refusal(results.Get(results_pb2.GetRequest(id=identifier), timeout=DEADLINE))
        assert code is grpc.StatusCode.NOT_FOUND
        assert explanation in sentence
    code, _ = await refusal(results.Get(results_pb2.GetRequest(), timeout=DEADLINE))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_list_turns_pages(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    write(engine, *(posterior(seeds=(seed,)) for seed in range(5)))
    first = await results.List(results_pb2.ListRequest(page_size=3), timeout=DEADLINE)
    second = await results.List(
        results_pb2.ListRequest(page_size=3, page_token=first.next_page_token), timeout=DEADLINE
    )
    assert (len(first.posteriors), len(second.posteriors), second.next_page_token) == (3, 2, "")
    assert first.total == second.total == 5
    half = results_pb2.ResultFilter(log_temperature_min=6.0)
    code, sentence = await refusal(results.List(results_pb2.ListRequest(filter=half), timeout=DEADLINE))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "log_temperature_max" in sentence


async def test_draws_stream_the_whole_table(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    sent = posterior()
    write(engine, sent)
    parts = [
        part.draws async for part in results.Draws(results_pb2.DrawsRequest(result_id=sent.result_id), timeout=DEADLINE)
    ]
    assert len(parts) > 1
    table = np.concatenate([np.reshape(part.values, (-1, len(part.names))) for part in parts])
    assert table.shape == (DRAWS, len(NAMES))
    np.testing.assert_array_equal(table.ravel(), np.array(sent.draws.values))


async def test_dead_letters_are_listed_by_stage(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    write(engine, dead_letter(), dead_letter(stage="ingestion", value=b"?", offset=9))
    listed = await results.ListDeadLetters(results_pb2.ListDeadLettersRequest(stage="ingestion"), timeout=DEADLINE)
    assert listed.total == 1
    assert listed.dead_letters[0].value == b"?"


async def test_a_watch_from_now_sees_what_any_replica_stores_and_nothing_before(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine, database_url: str
) -> None:
    write(engine, posterior(seeds=(0,)))
    watching = results.Watch(results_pb2.WatchRequest(), timeout=DEADLINE)
    await watching.initial_metadata()
    other_replica = open_engine(database_url)
    await asyncio.to_thread(write, other_replica, posterior(seeds=(1,)), posterior(seeds=(1,)))
    await asyncio.to_thread(write, engine, posterior(seeds=(2,)))
    assert (await watching.read()).posterior == posterior(seeds=(1,))
    assert (await watching.read()).posterior == posterior(seeds=(2,))
    watching.cancel()
    other_replica.dispose()


async def test_a_watch_passes_only_its_filter(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    request = results_pb2.WatchRequest(filter=results_pb2.ResultFilter(target="sun/*"))
    watching = results.Watch(request, timeout=DEADLINE)
    await watching.initial_metadata()
    await asyncio.to_thread(write, engine, posterior("capella"), posterior("sun/ar1/x000y000"))
    assert (await watching.read()).posterior.target == "sun/ar1/x000y000"
    watching.cancel()


async def test_the_full_answer_is_told_to_those_who_saw_the_triage(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine
) -> None:
    watching = results.Watch(results_pb2.WatchRequest(), timeout=DEADLINE)
    await watching.initial_metadata()
    for triage in (True, False):
        await asyncio.to_thread(write, engine, posterior(triage=triage))
        assert (await watching.read()).posterior == posterior(triage=triage)
    watching.cancel()


async def test_between_replay_and_live_no_result_is_missed_or_doubled(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine, database_url: str
) -> None:
    before = [posterior(seeds=(seed,)) for seed in range(40)]
    write(engine, *before)
    since = results_pb2.WatchRequest()
    since.since.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    live = [posterior(seeds=(seed,)) for seed in range(100, 180)]

    def store_live(records: list[posterior_pb2.Posterior]) -> None:
        own = open_engine(database_url)
        for record in records:
            write(own, record, record)
        own.dispose()

    writers = [asyncio.create_task(asyncio.to_thread(store_live, live[start::2])) for start in (0, 1)]
    watching = results.Watch(since, timeout=2 * DEADLINE)
    seen = [(await watching.read()).posterior.result_id for _ in range(len(before) + len(live))]
    await asyncio.gather(*writers)
    assert sorted(seen) == sorted(record.result_id for record in before + live)
    await asyncio.to_thread(write, engine, posterior("vega"))
    assert (await watching.read()).posterior.target == "vega"
    watching.cancel()


async def test_a_replay_begins_at_its_time(results: results_pb2_grpc.ResultsServiceStub, engine: Engine) -> None:
    write(engine, posterior("early"))
    await asyncio.sleep(0.01)
    request = results_pb2.WatchRequest()
    request.since.FromDatetime(datetime.now(UTC))
    await asyncio.sleep(0.01)
    write(engine, posterior("late"))
    watching = results.Watch(request, timeout=DEADLINE)
    assert (await watching.read()).posterior.target == "late"
    watching.cancel()


async def test_a_watch_with_a_senseless_filter_is_refused(results: results_pb2_grpc.ResultsServiceStub) -> None:
    half = results_pb2.ResultFilter(log_density_min=9.0)
    watching = results.Watch(results_pb2.WatchRequest(filter=half), timeout=DEADLINE)
    code, sentence = await refusal(watching.read())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "log_density_max" in sentence


async def test_a_watch_outlives_a_change_that_does_not_concern_it(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine
) -> None:
    watching = results.Watch(results_pb2.WatchRequest(), timeout=DEADLINE)
    await watching.initial_metadata()
    await asyncio.to_thread(write, engine, observation(), dead_letter())
    await asyncio.sleep(0.1)
    await asyncio.to_thread(write, engine, posterior())
    assert (await watching.read()).posterior == posterior()
    watching.cancel()


async def test_a_broken_database_is_unavailable_and_no_traceback(
    results: results_pb2_grpc.ResultsServiceStub, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE result_epochs"))
        connection.execute(text("DROP TABLE results"))
    code, sentence = await refusal(results.Get(results_pb2.GetRequest(id="x"), timeout=DEADLINE))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "Traceback" not in sentence
    assert "SELECT" not in sentence
