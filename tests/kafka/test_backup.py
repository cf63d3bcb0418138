"""A backup brings a database back to when it was made; Kafka brings it from there to now."""

from pathlib import Path

import pytest

from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName
from tests.kafka.stored import (
    Start,
    answer,
    committed,
    coronium,
    inventory,
    lose,
    publish,
    results,
    start,
    start_results,
)
from tests.stream.broker import Stream
from tests.stream.service import eventually
from tests.unit.posterior_factory import dead_letter, observation, posterior
from tests.unit.results_databases import database_url, postgresql, postgresql_tools, postgresql_url, sqlite_url

__all__ = ["database_url", "postgresql", "postgresql_tools", "postgresql_url", "sqlite_url", "start", "start_results"]

pytestmark = pytest.mark.timeout(240)


def publish_night(stream: Stream, night: int) -> None:
    """Publish what a night brings, and better fits of some spectra of the night before."""
    seeds = range(20 * night, 20 * night + 20)
    fits = [posterior("capella", seeds=(seed,)) for seed in seeds]
    again = (
        [posterior("capella", seeds=(seed - 20,), priors="default-2", fitted_hours=9.0) for seed in seeds[:5]]
        if night
        else []
    )
    publish(stream, POSTERIORS, *fits, *again)
    publish(stream, OBSERVATIONS, *(observation("capella", seed=seed) for seed in seeds))
    publish(
        stream,
        DEAD_LETTERS[StageName.FITTING],
        *(dead_letter(f"lost {night}", seed=seed, offset=seed) for seed in seeds[:3]),
    )


def stored(stream: Stream, nights: int) -> bool:
    return (
        committed(stream, POSTERIORS) == 25 * nights - 5
        and committed(stream, OBSERVATIONS) == 20 * nights
        and committed(stream, DEAD_LETTERS[StageName.FITTING]) == 3 * nights
    )


def test_a_restored_backup_catches_up_from_kafka_to_equal_checksums(
    stream: Stream, start_results: Start, database_url: str, tmp_path: Path, postgresql_tools: Path
) -> None:
    where = {"CORONIUM_RESULTS__DATABASE_URL": database_url, "CORONIUM_RESULTS__DATABASE_TOOLS": str(postgresql_tools)}
    file = tmp_path / "first-night.backup"
    service = start_results(database_url)
    publish_night(stream, 0)
    eventually(lambda: stored(stream, 1), 60, "the first night")
    # While the service runs.
    saved = answer(coronium(stream, "db", "backup", str(file), "--json", **where))
    assert saved["rows"]["results"] == 20
    assert sum(saved["offsets"].values()) == 43
    publish_night(stream, 1)
    eventually(lambda: stored(stream, 2), 60, "the second night")
    assert service.terminate() == 0
    everything = inventory(database_url)

    lose(database_url)
    restored = answer(coronium(stream, "db", "restore", str(file), "--json", **where))
    assert restored["checksum"] == saved["checksum"] != everything.checksum
    start_results(database_url)
    eventually(lambda: inventory(database_url).offsets == everything.offsets, 60, "the catching up")
    assert inventory(database_url).checksums == everything.checksums
    told = answer(coronium(stream, "db", "checksum", "--json", **where))
    assert told["checksum"] == everything.checksum


def test_a_restore_under_a_running_service_is_noticed_and_caught_up(
    stream: Stream, start_results: Start, database_url: str, tmp_path: Path, postgresql_tools: Path
) -> None:
    where = {"CORONIUM_RESULTS__DATABASE_URL": database_url, "CORONIUM_RESULTS__DATABASE_TOOLS": str(postgresql_tools)}
    file = tmp_path / "first-night.backup"
    service = start_results(database_url)
    publish_night(stream, 0)
    eventually(lambda: stored(stream, 1), 60, "the first night")
    assert coronium(stream, "db", "backup", str(file), **where).returncode == 0
    publish_night(stream, 1)
    eventually(lambda: stored(stream, 2), 60, "the second night")
    refused = coronium(stream, "db", "restore", str(file), **where)
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    assert "--force" in refused.stderr
    assert coronium(stream, "db", "restore", "--force", str(file), **where).returncode == 0
    assert len(results(database_url)) == 20

    # The service holds its partitions and knows nothing of it, until the next record is to be stored.
    publish_night(stream, 2)
    eventually(lambda: len(results(database_url)) == 70 and stored(stream, 3), 60, "all three nights")
    assert service.said("the stage's database has gone back: what it lacks is read again")
    assert inventory(database_url).rows["observations"] == 60
    assert sum(inventory(database_url).offsets.values()) == 25 * 3 - 5 + 60 + 9
    assert service.terminate() == 0, service.log.read_text()
