"""Why the stage loop commits by itself: what faust does with a record whose work failed.

When this fails, faust has changed and `coronium.runtime.faust_app` may be made simpler.
"""

import subprocess
import sys

from coronium.contract.topics import SPECTRA, StageName
from tests._shared import REPOSITORY
from tests.stream.broker import Stream
from tests.stream.service import eventually


def test_faust_alone_commits_a_record_whose_work_failed(stream: Stream) -> None:
    stream.publish(SPECTRA, [(b"target", b"lost")], partition=0)
    group = stream.kafka.topics.group(StageName.EXTRACTION)
    command = [sys.executable, "-m", "tests.stream.plain_faust", stream.address, group, stream.name(SPECTRA)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: stream.committed(StageName.EXTRACTION, SPECTRA) == {0: 1}, 20, "the loss")
    finally:
        process.kill()
        process.wait()
