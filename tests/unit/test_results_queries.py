"""Filters and pages give what was asked for, once, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Engine

from coronium.results.pages import InvalidQuery
from coronium.results.queries import Queries
from coronium.results.records import entry
from coronium.results.store import Store
from coronium.v1 import posterior_pb2, results_pb2
from tests.unit.posterior_factory import EPOCH_ZERO, dead_letter, joint, posterior
from tests.unit.results_databases import database_url, engine, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "engine", "postgresql", "postgresql_url", "sqlite_url"]

RASTER = [f"sun/ar12807/x{column:03d}y001" for column in range(3)]


@pytest.fixture
def queries(engine: Engine) -> Queries:
    records = [
        *(posterior(target, log_temperature=6.2 + 0.1 * i, log_density=9.0 + i) for i, target in enumerate(RASTER)),
        *(posterior("capella", seeds=(seed,), name=f"obsid {seed}") for seed in range(4)),
        posterior("Capella B", seeds=(9,)),
        posterior("procyon_b", seeds=(9,)),
        joint("capella", seeds=range(4)),
    ]
    Store(engine).write([entry(record) for record in records])
    return Queries(engine)


def found(queries: Queries, **fields: object) -> list[str]:
    page = queries.results(results_pb2.ResultFilter(**fields), 0, "")  # type: ignore[arg-type]
    posteriors = [posterior_pb2.Posterior.FromString(message) for message in page.messages]
    assert page.total == len(posteriors)
    return sorted(f"{one.target} {one.name}".strip() for one in posteriors)


def at(days: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(EPOCH_ZERO + timedelta(days=days))
    return stamp


def test_a_target_is_exact_and_a_star_ends_a_prefix(queries: Queries) -> None:
    assert found(queries, target=RASTER[1]) == [RASTER[1]]
    assert found(queries, target="sun/ar12807/*") == RASTER
    assert found(queries, target="sun/ar12807") == []
    assert len(found(queries, target="*")) == 10


def test_a_prefix_is_neither_a_pattern_nor_blind_to_case(queries: Queries) -> None:
    assert found(queries, target="procyon_*") == ["procyon_b"]
    assert found(queries, target="c_p*") == []
    assert found(queries, target="c%*") == []
    assert found(queries, target="Cap*") == ["Capella B"]


def test_a_prefix_may_end_anywhere_in_unicode(engine: Engine) -> None:
    names = ["α Cen", "α\ud7ff" + "x", "α" + chr(0x10FFFF), "β Cet"]
    Store(engine).write([entry(posterior(name)) for name in names])
    queries = Queries(engine)
    assert found(queries, target="α*") == sorted(names[:3])
    assert found(queries, target="α\ud7ff*") == [names[1]]
    assert found(queries, target="α" + chr(0x10FFFF) + "*") == [names[2]]


def test_results_are_found_by_name_instrument_kind_and_fingerprint(queries: Queries) -> None:
    assert found(queries, name="obsid 2") == ["capella obsid 2"]
    assert len(found(queries, instrument="chandra-letg")) == 10
    assert found(queries, instrument="hinode-eis") == []
    assert found(queries, kind=posterior_pb2.RESULT_KIND_JOINT) == ["capella"]
    fingerprint = posterior("capella", seeds=(3,)).fingerprints[0]
    assert found(queries, fingerprint=fingerprint) == ["capella", "capella obsid 3"]


def test_times_bound_a_half_open_interval(queries: Queries) -> None:
    assert found(queries, target="capella", observed_from=at(2)) == ["capella obsid 2", "capella obsid 3"]
    assert found(queries, name="obsid 2", observed_from=at(1), observed_until=at(2)) == []
    assert found(queries, name="obsid 2", observed_from=at(2), observed_until=at(3)) == ["capella obsid 2"]
    assert found(queries, fitted_from=at(9)) == ["Capella B", "procyon_b"]


def test_ranges_of_temperature_and_density_select_by_median(queries: Queries) -> None:
    assert found(queries, log_temperature_min=6.15, log_temperature_max=6.35) == RASTER[:2]
    assert found(queries, target="sun/*", log_density_min=9.5, log_density_max=11.5) == RASTER[1:]


def test_half_a_range_is_refused_with_a_sentence(queries: Queries) -> None:
    with pytest.raises(InvalidQuery, match="log_density_min and log_density_max"):
        found(queries, log_density_min=9.0)


def test_replaced_results_come_only_when_asked_for(engine: Engine, queries: Queries) -> None:
    Store(engine).write([entry(posterior("capella", seeds=(0,), priors="default-2", fitted_hours=9.0, name="new"))])
    target = "capella"
    assert "capella obsid 0" not in found(queries, target=target)
    assert "capella obsid 0" in found(queries, target=target, include_superseded=True)


def test_lists_carry_no_draws_and_no_bands(queries: Queries) -> None:
    page = queries.results(results_pb2.ResultFilter(), 0, "")
    for message in page.messages:
        listed = posterior_pb2.Posterior.FromString(message)
        assert not listed.draws.values
        assert not listed.predictive
        assert listed.parameters


def test_a_fingerprint_finds_the_current_result_of_the_spectrum_alone(engine: Engine, queries: Queries) -> None:
    newer = posterior("capella", seeds=(0,), priors="default-2", fitted_hours=9.0)
    Store(engine).write([entry(newer)])
    by_fingerprint = queries.get(newer.fingerprints[0])
    replaced = queries.get(posterior("capella", seeds=(0,)).result_id)
    assert by_fingerprint is not None
    assert replaced is not None
    assert by_fingerprint.result_id == newer.result_id
    assert replaced.superseded_by == newer.result_id
    assert queries.get("nothing") is None


def walk(queries: Queries, size: int, between: object = None) -> list[str]:
    ids: list[str] = []
    token = ""
    while True:
        page = queries.results(results_pb2.ResultFilter(), size, token)
        ids += [posterior_pb2.Posterior.FromString(message).result_id for message in page.messages]
        token = page.next_token
        if not token:
            return ids
        assert len(page.messages) == size
        if callable(between):
            between()


@pytest.mark.parametrize("size", [1, 3, 5, 10])
def test_pages_together_are_the_whole_list_the_newest_first(queries: Queries, size: int) -> None:
    whole = walk(queries, 1000)
    assert len(set(whole)) == 10
    assert walk(queries, size) == whole


def test_results_stored_while_someone_turns_pages_shift_nothing(engine: Engine, queries: Queries) -> None:
    whole = walk(queries, 1000)
    seeds = iter(range(100, 200))

    def store_another() -> None:
        # The full answer of a result that was listed as triage keeps its place too.
        Store(engine).write([entry(posterior("vega", seeds=(next(seeds),)))])

    assert walk(queries, 2, store_another) == whole


def test_a_replacement_keeps_its_place_in_the_pages(engine: Engine) -> None:
    store, queries = Store(engine), Queries(engine)
    store.write([entry(posterior(seeds=(seed,), triage=True)) for seed in range(4)])
    order = walk(queries, 10)
    store.write([entry(posterior(seeds=(1,)))])
    assert walk(queries, 10) == order


def test_a_token_works_only_for_the_list_it_came_from(queries: Queries) -> None:
    token = queries.results(results_pb2.ResultFilter(), 2, "").next_token
    with pytest.raises(InvalidQuery, match="another list"):
        queries.results(results_pb2.ResultFilter(target="capella"), 2, token)
    for damaged in ("x", token[:-3], "bm90IGpzb24=", "é", "WzFd"):
        with pytest.raises(InvalidQuery, match="damaged"):
            queries.results(results_pb2.ResultFilter(), 2, damaged)


def test_a_page_of_dead_letters_stays_below_what_a_client_accepts(engine: Engine) -> None:
    letters = [dead_letter(offset=offset, value=bytes(1_500_000)) for offset in range(5)]
    letters.append(dead_letter(offset=5, value=bytes(5_000_000)))
    Store(engine).write([entry(letter) for letter in letters])
    queries, token, sizes = Queries(engine), "", []
    while True:
        page = queries.dead_letters("", 0, token)
        assert page.total == 6
        sizes.append(len(page.messages))
        token = page.next_token
        if not token:
            break
    assert sizes == [1, 2, 2, 1]
