"""What was set aside is sent again once it can be worked on, and a period under better models; nothing doubles."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coronium.contract.headers import REPLAY_ID_HEADER, REPLAY_OF_HEADER, TRACE_ID_HEADER, Headers
from coronium.contract.topics import DEAD_LETTERS, FEATURES, POSTERIORS, SPECTRA, StageName
from coronium.v1.dead_letter_pb2 import DeadLetter, DeadLetterReason
from tests.kafka.stored import Start, answer, committed, coronium, open_letters, results, start, start_results
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually
from tests.unit.results_databases import sqlite_url
from tests.unit.spectra import good_spectrum

__all__ = ["sqlite_url", "start", "start_results"]

pytestmark = pytest.mark.timeout(240)

FITTING = StageName.FITTING


def features(stream: Stream, *values: str, partition: int | None = None) -> None:
    stream.publish(FEATURES, [(b"star", value.encode()) for value in values], partition=partition)


def replay(stream: Stream, *arguments: str) -> dict[str, Any]:
    return answer(coronium(stream, "replay", *arguments, "--json"))


def fitted(stream: Stream) -> int:
    return sum(stream.committed(FITTING, FEATURES).values())


def moment() -> str:
    """Return now as the command takes it; what was produced before is earlier and what comes is later."""
    time.sleep(1.1)
    now = datetime.now(UTC).replace(microsecond=0)
    time.sleep(1.1)
    return now.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
def repair(tmp_path: Path) -> Path:
    return tmp_path / "repair"


@pytest.fixture
def fits(start: Start, repair: Path) -> Service:
    """Fit at once; what is broken is set aside after one attempt and never stops the stage."""
    return start(
        "tests.kafka.quick_fits", FITTING__REPAIR=str(repair), LOOP__ATTEMPTS="1", LOOP__FAILURE_RATE="1"
    ).wait_until_ready()


def test_dead_letters_are_shown_by_a_dry_run_and_filtered(stream: Stream, fits: Service, repair: Path) -> None:
    features(stream, "broken:1", "good:2", "nonsense", "broken:3", "more nonsense")
    eventually(lambda: len(stream.dead_letters(FITTING)) == 4, 30, "the dead letters")
    before_more = moment()
    features(stream, "broken:4", "late nonsense")
    eventually(lambda: len(stream.dead_letters(FITTING)) == 6, 30, "more of them")
    repair.touch()

    def shown(*filters: str) -> dict[str, int]:
        told = replay(stream, "--dead-letters", "--dry-run", *filters)
        assert not told["sent"]
        assert told["records"] == sum(group["records"] for group in told["groups"])
        return {group["reason"]: group["records"] for group in told["groups"]}

    assert shown() == {"internal": 3, "malformed": 3}
    assert shown("--stage", "fitting", "--reason", "internal") == {"internal": 3}
    assert shown("--stage", "ingestion", "--stage", "extraction") == {}
    assert shown("--since", before_more) == {"internal": 1, "malformed": 1}
    assert shown("--until", before_more) == {"internal": 2, "malformed": 2}
    assert shown("--reason", "malformed", "--reason", "internal", "--until", before_more) == {
        "internal": 2,
        "malformed": 2,
    }
    first = replay(stream, "--dead-letters", "--dry-run", "--reason", "malformed")["first"]
    assert [one["detail"] for one in first] == [
        f"{text!r} has no number" for text in ("nonsense", "more nonsense", "late nonsense")
    ]
    assert len(stream.read(FEATURES)) == 7, "a dry run sends nothing"


def test_a_replayed_record_is_the_original_once_more_with_the_replay_in_its_headers(
    stream: Stream, fits: Service, repair: Path
) -> None:
    features(stream, "good:1", "broken:2", partition=1)
    (letter,) = eventually(lambda: stream.dead_letters(FITTING), 30, "the dead letter")
    repair.touch()
    told = replay(stream, "--dead-letters")
    assert (told["sent"], told["records"]) == (True, 1)
    copy = stream.records(FEATURES)[-1]
    headers = dict(copy.headers)
    assert (copy.key, copy.value, copy.partition, copy.offset) == (letter.key, letter.value, 1, 2)
    assert headers[REPLAY_ID_HEADER].decode() == told["replay_id"]
    assert headers[REPLAY_OF_HEADER].decode() == f"{stream.name(FEATURES)}/1/1"
    # The trace that the stage began for it, which its dead letter and its logs have.
    (of_letter,) = stream.records(DEAD_LETTERS[FITTING])
    assert headers[TRACE_ID_HEADER] == dict(of_letter.headers)[TRACE_ID_HEADER]
    eventually(lambda: len(stream.read(POSTERIORS)) == 2, 30, "its posterior")
    (record,) = [record for record in stream.records(POSTERIORS) if record.key == b"star 2"]
    posterior = Headers.decode(dict(record.headers), 0.0)
    assert posterior.replay_id == told["replay_id"]
    assert str(posterior.replay_of) == f"{stream.name(FEATURES)}/1/1"


def test_a_redriven_record_s_result_closes_its_dead_letter_and_each_letter_is_sent_once(
    stream: Stream, fits: Service, repair: Path, start_results: Start, sqlite_url: str
) -> None:
    start_results(sqlite_url)
    features(stream, "broken:1", "broken:2", "nonsense", "good:3")
    eventually(lambda: len(open_letters(sqlite_url)) == 3, 40, "the dead letters in the store")
    repair.touch()

    told = replay(stream, "--dead-letters")
    assert told["records"] == 3
    # Two have results; the third was set aside again, and only that later letter of it is open.
    eventually(
        lambda: len(results(sqlite_url)) == 3 and committed(stream, DEAD_LETTERS[FITTING]) == 4, 40, "the results"
    )
    (still,) = open_letters(sqlite_url)
    copies = [record.offset for record in stream.records(FEATURES) if record.value == b"nonsense"]
    assert (still.value, still.source_offset) == (b"nonsense", max(copies))
    assert dict(still.headers)[REPLAY_OF_HEADER].decode().startswith(stream.name(FEATURES))

    again = replay(stream, "--dead-letters", "--dry-run")
    assert again["records"] == 1
    assert again["first"][0]["place"].endswith(f"/{still.source_offset}")
    assert again["skipped"] == {"replayed before": 2, "set aside again since, as another dead letter": 1}
    assert replay(stream, "--dead-letters", "--reason", "internal")["records"] == 0
    assert replay(stream, "--dead-letters", "--reason", "internal", "--again")["records"] == 2
    eventually(lambda: fitted(stream) == len(stream.read(FEATURES)) == 9, 30, "the end")
    eventually(lambda: committed(stream, POSTERIORS) == 5, 30, "their results")
    assert len(results(sqlite_url)) == 3
    assert len(open_letters(sqlite_url)) == 1


def test_another_record_that_came_to_stand_in_the_place_of_one_that_was_replayed_is_replayed_too(
    stream: Stream,
) -> None:
    def set_aside(value: bytes) -> None:
        letter = DeadLetter(
            stage=FITTING,
            source_topic=stream.name(FEATURES),
            source_partition=1,
            source_offset=7,
            value=value,
            reason=DeadLetterReason.DEAD_LETTER_REASON_INTERNAL,
        )
        stream.publish(DEAD_LETTERS[FITTING], [(b"star", letter.SerializeToString())])

    set_aside(b"before the log lost its end")
    assert replay(stream, "--dead-letters")["records"] == 1
    set_aside(b"after it")
    told = replay(stream, "--dead-letters")
    assert (told["records"], told["skipped"]) == (1, {"replayed before": 1})
    assert [record.value for record in stream.records(FEATURES)] == [b"before the log lost its end", b"after it"]
    assert replay(stream, "--dead-letters")["skipped"] == {"replayed before": 2}


def test_a_period_is_replayed_twice_over_under_new_models_and_nothing_doubles(
    stream: Stream, start: Start, start_results: Start, sqlite_url: str
) -> None:
    start_results(sqlite_url)
    old = start("tests.kafka.quick_fits", FITTING__PRIORS="default-1").wait_until_ready()
    features(stream, "before:1")
    eventually(lambda: fitted(stream) == 1, 30, "the first fit")
    since = moment()
    features(stream, *(f"within:{n}" for n in range(2, 8)))
    eventually(lambda: fitted(stream) == 7, 30, "the fits of the period")
    until = moment()
    features(stream, "after:8")
    eventually(lambda: committed(stream, POSTERIORS) == 8, 30, "their results")
    by_old = set(results(sqlite_url))
    assert len(by_old) == 8
    assert old.terminate() == 0

    start("tests.kafka.quick_fits", FITTING__PRIORS="default-2").wait_until_ready()
    period = ("--topic", "features", "--since", since, "--until", until)
    assert replay(stream, *period)["records"] == 6
    eventually(lambda: committed(stream, POSTERIORS) == 14, 40, "the new results")
    found = results(sqlite_url)
    by_new = set(found) - by_old
    assert {found[one].target for one in by_new} == {f"star {n}" for n in range(2, 8)}
    current = results(sqlite_url, superseded=False)
    assert set(current) == by_new | {one for one in by_old if found[one].target in ("star 1", "star 8")}

    assert replay(stream, *period)["records"] == 6
    eventually(lambda: committed(stream, POSTERIORS) == 20, 40, "the same results again")
    assert set(results(sqlite_url)) == set(found)
    assert set(results(sqlite_url, superseded=False)) == set(current)
    # From then to now: the copies that the replays have put there are not sent beside their originals.
    told = replay(stream, "--topic", "features", "--since", since, "--dry-run")
    assert (told["records"], told["skipped"]) == (7, {"a copy of a record that is replayed itself": 12})


def test_offsets_of_a_partition_are_replayed_up_to_the_end_of_then(stream: Stream, fits: Service) -> None:
    features(stream, *(f"good:{n}" for n in range(10)), partition=1)
    eventually(lambda: fitted(stream) == 10, 30, "the fits")
    part = ("--topic", "features", "--partition", "1")
    assert replay(stream, *part, "--from-offset", "2", "--to-offset", "5")["records"] == 3
    assert [record.value for record in stream.records(FEATURES)[10:]] == [b"good:2", b"good:3", b"good:4"]
    # The copies of 2 to 4 stand behind them at 10 to 12.
    assert replay(stream, *part, "--from-offset", "4")["records"] == 6 + 2
    eventually(lambda: fitted(stream) == 21, 30, "the end: what is sent is not read by the replay that sends it")
    assert replay(stream, *part, "--from-offset", "21")["records"] == 0
    assert coronium(stream, "replay", "--topic", "features", "--partition", "7", "--from-offset", "0").returncode == 2


def test_bad_input_that_is_redriven_past_the_memory_of_duplicates_is_one_dead_letter(
    stream: Stream, start: Start, start_results: Start, sqlite_url: str
) -> None:
    start_results(sqlite_url)
    start("coronium.ingestion").wait_until_ready()
    good = good_spectrum()
    stream.publish(SPECTRA, [(b"star", b"\xff no spectrum"), (good.target.encode(), good.SerializeToString())])
    eventually(lambda: len(open_letters(sqlite_url)) == 1, 40, "the dead letter")
    for _ in range(2):
        assert replay(stream, "--dead-letters", "--stage", "ingestion")["records"] == 1
        count = len(stream.read(SPECTRA))
        eventually(lambda count=count: committed(stream, DEAD_LETTERS[StageName.INGESTION]) == count - 1, 40, "its end")
    (only,) = open_letters(sqlite_url)
    assert (only.stage, only.value, only.reason) == ("ingestion", b"\xff no spectrum", 1)


def test_many_records_are_sent_only_when_somebody_says_so_and_no_faster_than_asked(stream: Stream) -> None:
    features(stream, *(f"good:{n}" for n in range(1001)), partition=0)
    everything = ("replay", "--topic", "features", "--partition", "0", "--from-offset", "0")
    refused = coronium(stream, *everything)
    assert refused.returncode == 2
    assert "1001 records" in refused.stderr
    assert "--yes" in refused.stderr
    assert len(stream.read(FEATURES)) == 1001
    assert answer(coronium(stream, *everything, "--yes", "--json"))["records"] == 1001
    begun = time.monotonic()
    assert (
        replay(stream, "--topic", "features", "--partition", "0", "--from-offset", "1992", "--rate", "2")["records"]
        == 10
    )
    assert time.monotonic() - begun > 4.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either --dead-letters or --topic"),
        (["--dead-letters", "--topic", "features"], "either --dead-letters or --topic"),
        (["--topic", "features"], "which part"),
        (["--topic", "features", "--partition", "1", "--since", "2026-01-01"], "without times"),
        (["--topic", "features", "--from-offset", "1"], "--partition and --from-offset together"),
        (["--topic", "features", "--since", "2026-01-01", "--stage", "fitting"], "--stage does not go with --topic"),
        (["--dead-letters", "--partition", "0"], "--partition does not go with --dead-letters"),
        (["--dead-letters", "--reason", "boredom"], "no reason boredom"),
    ],
)
def test_options_that_make_no_sense_together_are_a_usage_error(
    stream: Stream, arguments: list[str], words: str
) -> None:
    done = coronium(stream, "replay", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
