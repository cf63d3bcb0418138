"""How long the broker keeps records is a setting; on a topic that exists it is changed only when it is asked for."""

import time

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from coronium.contract.limits import MAX_DEAD_LETTER_BYTES
from coronium.contract.topics import DEAD_LETTERS, EPOCHS, FEATURES, POSTERIORS, SPECTRA, StageName, Topic
from tests.kafka.stored import answer, coronium
from tests.stream.broker import Stream

pytestmark = pytest.mark.timeout(240)

LETTERS = DEAD_LETTERS[StageName.FITTING]
DAY = 86_400_000


@pytest.fixture
def fresh(broker: str) -> Stream:
    """A prefix without topics."""
    return Stream(broker, f"kept{time.monotonic_ns()}")


def configuration(stream: Stream, topic: Topic) -> dict[str, str]:
    admin = KafkaAdminClient(bootstrap_servers=stream.address)
    name = stream.name(topic)
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    admin.close()
    return {key: value["value"] for key, value in found["topic"][name].items()}


def kept(stream: Stream, *topics: Topic) -> list[float]:
    return [int(configuration(stream, topic)["retention.ms"]) / DAY for topic in topics]


def test_topics_are_made_with_the_retention_of_the_settings(fresh: Stream) -> None:
    made = answer(coronium(fresh, "topics", "create", "--json", CORONIUM_CLIENT__RETENTION__SPECTRA_DAYS="60"))
    assert all(report["created"] and not report["retention_differs"] for report in made)
    assert kept(fresh, SPECTRA, FEATURES, POSTERIORS, LETTERS) == [60, 7, 90, 90]
    assert configuration(fresh, EPOCHS)["cleanup.policy"] == "compact"


def test_another_retention_is_reported_and_applied_only_when_asked(fresh: Stream) -> None:
    answer(coronium(fresh, "topics", "create", "--partitions", "2", "--json"))
    prefix = "CORONIUM_CLIENT__RETENTION__"
    other = {f"{prefix}DEAD_LETTERS_DAYS": "10", f"{prefix}POSTERIORS_DAYS": "365"}
    again = coronium(fresh, "topics", "create", "--partitions", "2", **other)
    told = [line for line in again.stdout.splitlines() if line.startswith(f"{fresh.name(POSTERIORS)}:")]
    assert told == [
        f"{fresh.name(POSTERIORS)}: exists; keeps records for 90 days instead of 365 days, "
        "which `coronium topics set-retention` changes"
    ]
    assert kept(fresh, POSTERIORS, LETTERS) == [90, 90]
    listed = {row["topic"]: row for row in answer(coronium(fresh, "topics", "list", "--json", **other))}
    assert listed[fresh.name(LETTERS)]["retention_ms"] == 90 * DAY
    assert listed[fresh.name(LETTERS)]["wanted_retention_ms"] == 10 * DAY

    changed = answer(coronium(fresh, "topics", "set-retention", "--json", **other))
    # Four topics of dead letters, the notes of what was replayed, and the posteriors.
    assert len(changed) == 6
    assert kept(fresh, SPECTRA, POSTERIORS, LETTERS) == [30, 365, 10]
    assert configuration(fresh, LETTERS)["max.message.bytes"] == str(MAX_DEAD_LETTER_BYTES), "nothing else is touched"
    assert answer(coronium(fresh, "topics", "set-retention", "--json", **other)) == []


def test_a_retention_that_is_no_time_is_a_usage_error(fresh: Stream) -> None:
    done = coronium(fresh, "topics", "create", CORONIUM_CLIENT__RETENTION__SPECTRA_DAYS="0")
    assert done.returncode == 2
    assert "CORONIUM_CLIENT__RETENTION__SPECTRA_DAYS" in done.stderr
