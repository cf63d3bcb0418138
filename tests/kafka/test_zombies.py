"""A replica that was away too long does no harm when it is back, and nobody commits what is not finished."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(150)

STAGE = StageName.EXTRACTION
Start = Callable[..., Service]
GIVEN_UP = "a batch was given up, to be worked on again"


def publish(stream: Stream, *values: object) -> None:
    stream.publish(SPECTRA, [(b"target", str(value).encode()) for value in values], partition=0)


def squares(stream: Stream) -> list[int]:
    return sorted(int(value) for _, value in stream.read(OBSERVATIONS) if value is not None)


def committed(stream: Stream) -> int:
    return stream.committed(STAGE, SPECTRA).get(0, 0)


def test_a_replica_that_was_stopped_in_its_batch_gives_it_up_to_its_successor(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, f"wait:{gate}:2", 3)
    zombie = start_service()
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 3, 30, "the batch")
    zombie.process.send_signal(signal.SIGSTOP)
    successor = start_service().wait_until_ready()
    # The broker takes the partitions away without a word to the zombie, whose worker goes on meanwhile.
    gate.touch()
    eventually(lambda: committed(stream) == 3, 40, "the successor's commit")
    done = squares(stream)
    assert sorted(set(done)) == [1, 4, 9]

    zombie.process.send_signal(signal.SIGCONT)
    eventually(lambda: zombie.said(GIVEN_UP), 30, "the zombie's insight")
    publish(stream, 4, 5)
    stream.publish(SPECTRA, [(b"other", b"6")], partition=1)
    eventually(lambda: committed(stream) == 5, 40, "the rest")
    eventually(lambda: set(squares(stream)) == {1, 4, 9, 16, 25, 36}, 20)
    assert committed(stream) == 5
    assert zombie.process.poll() is None, zombie.log.read_text()
    eventually(lambda: "coronium_partitions 1.0" in zombie.metrics(), 20, "its new partition")
    assert successor.terminate() == 0
    publish(stream, 7)
    eventually(lambda: committed(stream) == 6, 40, "work of the one that was away")
    assert not stream.dead_letters(STAGE)


def test_a_zombie_whose_work_ends_before_it_notices_commits_nothing_over_its_successor(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, 2, f"wait:{gate}:3", 4)
    zombie = start_service()
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 4, 30, "the batch")
    zombie.process.send_signal(signal.SIGSTOP)
    gate.touch()
    start_service().wait_until_ready()
    eventually(lambda: committed(stream) == 4, 40, "the successor's commit")
    publish(stream, *range(5, 25))
    eventually(lambda: committed(stream) == 24, 40, "more of the successor")
    zombie.process.send_signal(signal.SIGCONT)
    eventually(lambda: zombie.said(GIVEN_UP) or zombie.said("reading again"), 30, "the zombie's insight")
    assert committed(stream) == 24
    publish(stream, 25)
    eventually(lambda: committed(stream) == 25, 40, "the next")
    assert set(squares(stream)) == {n * n for n in range(1, 26)}


def test_a_rebalance_in_a_batch_that_does_not_end_gives_it_up_uncommitted(
    stream: Stream, start_service: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    publish(stream, 1, f"wait:{gate}:2", 3)
    # The work's own deadline is the same as the one that a rebalance waits for.
    first = start_service(LOOP__DEADLINE_SECONDS="6")
    eventually(lambda: stream.begun(STAGE, SPECTRA) == 3, 30, "the batch")
    start_service(LOOP__DEADLINE_SECONDS="60").wait_until_ready()
    eventually(lambda: first.said(GIVEN_UP) or first.said("the worker ended"), 30, "the end of the batch")
    assert committed(stream) == 0
    assert squares(stream) == []
    gate.touch()
    eventually(lambda: committed(stream) == 3, 60, "the commit")
    assert set(squares(stream)) == {1, 4, 9}
    assert not stream.dead_letters(STAGE)
