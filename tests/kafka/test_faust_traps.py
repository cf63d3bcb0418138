"""Faust's traps with several workers and partitions, rebalances included, and our loop in the same places.

The first tests show what plain faust does: when one fails, faust has changed. The last shows that the loop, through
faust's consumer, holds its promises while replicas come and go.
"""

import random
import subprocess
import time
from collections.abc import Callable

import pytest

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.stream.broker import PARTITIONS, Stream
from tests.stream.service import Service, eventually

pytestmark = pytest.mark.timeout(200)

STAGE = StageName.EXTRACTION
COMMITS = 2.0
"""Seconds in which an application that commits every half second has committed all it will."""

Start = Callable[[str], subprocess.Popen[bytes]]


def publish(stream: Stream, values: list[bytes]) -> None:
    """Publish the same values to every partition."""
    for partition in range(PARTITIONS):
        stream.publish(SPECTRA, [(b"target", value) for value in values], partition=partition)


def committed(stream: Stream) -> dict[int, int]:
    return stream.committed(STAGE, SPECTRA)


def test_two_workers_that_raise_commit_everything_of_both_partitions(stream: Stream, start_plain_faust: Start) -> None:
    start_plain_faust("raise")
    start_plain_faust("raise")
    time.sleep(8)
    publish(stream, [b"1", b"2", b"3"])
    eventually(lambda: committed(stream) == {0: 3, 1: 3}, 40, "the loss")


def test_manual_acknowledgement_commits_what_was_acknowledged(stream: Stream, start_plain_faust: Start) -> None:
    publish(stream, [b"1", b"2", b"hang", b"4"])
    start_plain_faust("manual")
    # One agent goes through both partitions: it hangs in the first that says so.
    eventually(lambda: sum(committed(stream).values()) >= 2, 40, "the commit")
    time.sleep(COMMITS)
    assert all(offset <= 2 for offset in committed(stream).values())


def test_replicas_come_and_go_and_every_commit_has_its_result(
    stream: Stream, start_service: Callable[..., Service]
) -> None:
    count, chance = 300, random.Random(3)
    replicas = [start_service(BATCH_SIZE="3")]
    published = 0
    until = time.monotonic() + 150
    while published < count or sum(committed(stream).values()) < count:
        assert time.monotonic() < until, "the stream did not end"
        if published < count:
            numbers = range(published, published + 30)
            stream.publish(SPECTRA, [(b"%d" % n, b"%d" % n) for n in numbers])
            published += 30
        if len(replicas) < 3 and chance.random() < 0.5:
            replicas.append(start_service(BATCH_SIZE="3"))
        elif len(replicas) > 1 and chance.random() < 0.6:
            gone = replicas.pop(chance.randrange(len(replicas)))
            gone.process.kill() if chance.random() < 0.5 else gone.process.terminate()
        time.sleep(chance.uniform(0.2, 2.0))
        # What is committed now has its results, which are read later.
        before = sum(committed(stream).values())
        assert len({value for _, value in stream.read(OBSERVATIONS)}) >= before
    assert {int(value or b"") for _, value in stream.read(OBSERVATIONS)} == {n * n for n in range(count)}
    assert not stream.dead_letters(STAGE)
