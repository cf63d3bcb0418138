"""Why the stage loop commits by itself: what faust alone commits when something goes wrong.

Each test reads the committed offset. When one fails, faust has changed and `coronium.runtime.faust_app` may be made
simpler.
"""

import subprocess
import time
from collections.abc import Callable

import pytest

from coronium.contract.topics import SPECTRA, StageName
from tests.stream.broker import Stream
from tests.stream.service import eventually

Start = Callable[[str, list[bytes]], subprocess.Popen[bytes]]

COMMITS = 1.5
"""Seconds in which an application that commits every half second has committed all it will."""


@pytest.fixture
def start(stream: Stream, start_plain_faust: Callable[[str], subprocess.Popen[bytes]]) -> Start:
    """Start an application on records of one partition."""

    def start(agent: str, values: list[bytes]) -> subprocess.Popen[bytes]:
        stream.publish(SPECTRA, [(b"target", value) for value in values], partition=0)
        return start_plain_faust(agent)

    return start


def committed(stream: Stream) -> dict[int, int]:
    return stream.committed(StageName.EXTRACTION, SPECTRA)


def test_a_record_whose_work_raised_is_committed(stream: Stream, start: Start) -> None:
    start("raise", [b"lost"])
    eventually(lambda: committed(stream) == {0: 1}, 20, "the loss")


def test_a_batch_whose_work_raised_is_committed_whole(stream: Stream, start: Start) -> None:
    start("take", [b"lost", b"lost too", b"lost as well"])
    eventually(lambda: committed(stream) == {0: 3}, 20, "the loss")


def test_a_kill_leaves_the_record_in_work_uncommitted_and_those_before_it_committed(
    stream: Stream, start: Start
) -> None:
    process = start("hang", [b"1", b"2", b"hang", b"4"])
    eventually(lambda: committed(stream) == {0: 2}, 20, "the commit")
    time.sleep(COMMITS)
    process.kill()
    process.wait()
    assert committed(stream) == {0: 2}


def test_two_agents_at_once_commit_past_a_record_in_work(stream: Stream, start: Start) -> None:
    start("concurrency", [b"1", b"hang", b"3", b"4"])
    eventually(lambda: committed(stream).get(0, 0) > 2, 20, "the loss")
