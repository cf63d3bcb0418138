"""A lost database is rebuilt from Kafka alone, as far as Kafka still holds it; what is lost is told."""

import random

import pytest
from google.protobuf.message import Message
from kafka import KafkaAdminClient, TopicPartition

from coronium.contract.topics import DEAD_LETTERS, OBSERVATIONS, POSTERIORS, StageName
from tests.kafka.stored import Start, committed, inventory, lose, publish, results, start, start_results
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.posterior_factory import dead_letter, joint, observation, posterior
from tests.unit.results_databases import database_url, postgresql, postgresql_url, sqlite_url

__all__ = ["database_url", "postgresql", "postgresql_url", "sqlite_url", "start", "start_results"]

pytestmark = pytest.mark.timeout(240)

TARGETS = [f"sun/ar12807/x{column:03d}y001" for column in range(30)]
GOING_BACK = "the database is behind the group: going back"
LOST = "records that the database lacks are no longer in Kafka: restore a later backup, or publish again"


def published(stream: Stream) -> int:
    """Publish results of three model versions, joint ones, duplicates, bad bytes; return how many posteriors."""
    fits: list[Message] = [
        *(
            posterior(target, priors=f"default-{version}", fitted_hours=version)
            for target in TARGETS
            for version in (2, 3)
        ),
        *(posterior(target, priors="default-4", fitted_hours=9.0, triage=True) for target in TARGETS[:10]),
        *(joint("capella", seeds=range(count)) for count in range(2, 6)),
        *(posterior(target, priors="default-2", fitted_hours=8.0) for target in TARGETS[:10]),
    ]
    random.Random(3).shuffle(fits)
    publish(stream, POSTERIORS, *fits)
    publish(stream, OBSERVATIONS, *(observation(target) for target in TARGETS))
    letters = [dead_letter(TARGETS[0], offset=1), dead_letter("sun/nowhere", offset=2), dead_letter("x", value=b"\xff")]
    publish(stream, DEAD_LETTERS[StageName.FITTING], *letters)
    # The last record of its partition is one that results sets aside itself: the database must not lag behind for it.
    stream.publish(POSTERIORS, [(b"poison", b"\xff not a posterior")], partition=0)
    return len(fits) + 1


def finished(stream: Stream, posteriors: int, own_letters: int = 1) -> bool:
    return (
        committed(stream, POSTERIORS) == posteriors
        and committed(stream, OBSERVATIONS) == len(TARGETS)
        and committed(stream, DEAD_LETTERS[StageName.FITTING]) == 3
        and committed(stream, DEAD_LETTERS[StageName.RESULTS]) == own_letters
    )


def test_an_empty_database_is_rebuilt_to_equal_checksums_without_a_new_record(
    stream: Stream, start_results: Start, database_url: str
) -> None:
    posteriors = published(stream)
    first = start_results(database_url)
    eventually(lambda: finished(stream, posteriors), 60, "everything stored")
    assert first.terminate() == 0
    before = inventory(database_url)
    assert before.rows["results"] == 3 * 10 + 2 * 20 + 4
    assert sum(before.offsets.values()) == posteriors + len(TARGETS) + 4

    lose(database_url)
    second = start_results(database_url)
    # What results itself had set aside is set aside once more, and is the same dead letter.
    eventually(lambda: finished(stream, posteriors, own_letters=2), 60, "the rebuilding")
    rebuilt = inventory(database_url)
    assert rebuilt.rows == before.rows
    assert rebuilt.checksums == before.checksums
    assert rebuilt.checksum == before.checksum
    assert second.said(GOING_BACK)
    assert 'coronium_went_back_total{topic="posteriors.v1"}' in second.metrics()
    assert 'coronium_lost_to_retention_records{topic="posteriors.v1"} 0.0' in second.metrics()
    assert second.terminate() == 0

    third = start_results(database_url)
    eventually(lambda: "coronium_partitions 12.0" in third.metrics(), 30, "its partitions")
    publish(stream, POSTERIORS, posterior("late"))
    eventually(lambda: committed(stream, POSTERIORS) == posteriors + 1, 30, "the next result")
    assert not third.said(GOING_BACK), "a database that is up to date goes nowhere"
    assert inventory(database_url).rows["results"] == before.rows["results"] + 1


def test_a_kill_in_the_middle_of_the_rebuilding_loses_nothing(
    stream: Stream, start_results: Start, database_url: str
) -> None:
    publish(stream, POSTERIORS, *(posterior(target, seeds=(seed,)) for target in TARGETS for seed in range(50)))
    killed = start_results(database_url)
    eventually(lambda: committed(stream, POSTERIORS) == 1500, 60, "everything stored")
    before = inventory(database_url)
    killed.kill()
    lose(database_url)
    for least in (1, 100):
        killed = start_results(database_url)
        eventually(lambda least=least: len(results(database_url)) >= least, 60, "some of it")
        killed.kill()
        assert least <= len(results(database_url)) < 1500, "the kill came too late"
    last = start_results(database_url)
    eventually(lambda: inventory(database_url).offsets == before.offsets, 60, "the rest")
    assert inventory(database_url).checksum == before.checksum
    assert "coronium_solo_attempts_total 0.0" in last.metrics() or stopped_in_a_batch(last)
    assert committed(stream, POSTERIORS) == 1500
    assert not stream.dead_letters(StageName.RESULTS)


def stopped_in_a_batch(service: Service) -> bool:
    """Whether the records that were worked on alone are no more than the batch that a kill left behind."""
    (line,) = [line for line in service.metrics().splitlines() if line.startswith("coronium_solo_attempts_total")]
    return float(line.split()[1]) <= 2 * 32


def test_what_kafka_no_longer_holds_is_told(stream: Stream, start_results: Start, sqlite_url: str) -> None:
    stream.publish(
        POSTERIORS, [(b"star", posterior("star", seeds=(seed,)).SerializeToString()) for seed in range(20)], partition=1
    )
    first = start_results(sqlite_url)
    eventually(lambda: committed(stream, POSTERIORS) == 20, 30, "everything stored")
    assert first.terminate() == 0
    lose(sqlite_url)
    admin = KafkaAdminClient(bootstrap_servers=stream.address)
    admin.delete_records({TopicPartition(stream.name(POSTERIORS), 1): 12})
    admin.close()

    second = start_results(sqlite_url)
    eventually(lambda: len(results(sqlite_url)) == 8, 30, "what is left")
    assert 'coronium_lost_to_retention_records{topic="posteriors.v1"} 12.0' in second.metrics()
    (told,) = second.said(LOST)
    assert (told["records"], told["source"]) == (12, f"{stream.name(POSTERIORS)}/1/12")
    assert second.terminate() == 0
