"""A tiny real stage for the tests of the loop: it squares numbers in a worker process.

A record's value is a decimal number, or a word that makes something go wrong:

    abort           the worker process dies
    murder          the worker kills the parent process, then itself
    hang            the worker never answers
    murder:hang     the worker kills the parent process and never answers, holding the interpreter's lock
    murder:memory   the worker kills the parent process and fills its memory
    memory          the worker fills its memory
    raise           the worker raises what nobody expects
    away:FILE:N     something the worker depends on is away until FILE exists
    broken:FILE:N   raises until FILE exists: a bad deploy that is put right
    wait:FILE:N     works until FILE exists, then squares N
    unsendable      the stage encodes what no producer takes: a bug of ours
    anything else   malformed
"""

import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from coronium.runtime.settings import ServiceSettings
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage, Transient
from coronium.v1.dead_letter_pb2 import DEAD_LETTER_REASON_MALFORMED

WORDS = ("abort", "murder", "hang", "memory", "raise", "away", "broken", "wait", "unsendable")


class SquareSettings(ServiceSettings):
    """Settings of the test stage; it takes the place of extraction."""

    service: ClassVar[str] = "extraction"

    batch_size: int = 4
    batch_seconds: float = 0.3
    model_file: str = ""


class SquareWorker:
    """Squares numbers; its model is the content of a file."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._file = settings["model_file"]
        self._parent = settings["parent"]

    def warm(self) -> str:
        """Return the content of the model's file as its hash."""
        return Path(self._file).read_text() if self._file else ""

    def work(self, jobs: list[str]) -> list[int]:
        """Square each."""
        return [self._square(job) for job in jobs]

    def _square(self, job: str) -> int:
        word, *rest = job.split(":")
        if word == "abort":
            os.abort()
        elif word == "murder":
            os.kill(self._parent, signal.SIGKILL)
            if rest == ["hang"]:
                re.match(r"(a+)+$", "a" * 64 + "b")
            elif rest == ["memory"]:
                hoard = [b"x" * 1_000_000 for _ in range(2_000)]
                time.sleep(len(hoard))
            os.abort()
        elif word == "hang":
            time.sleep(1000)
        elif word == "memory":
            hoard = b"x" * 500_000_000
            time.sleep(len(hoard))
        elif word == "raise":
            raise RuntimeError("nobody expected this")
        elif word == "away":
            if not Path(rest[0]).exists():
                raise Transient("the file is not there yet")
            return int(rest[1]) ** 2
        elif word == "broken":
            if not Path(rest[0]).exists():
                raise RuntimeError("a bad deploy")
            return int(rest[1]) ** 2
        elif word == "wait":
            while not Path(rest[0]).exists():
                time.sleep(0.05)
            return int(rest[1]) ** 2
        elif word == "unsendable":
            return 0
        return int(job) ** 2


def create(settings: dict[str, Any]) -> SquareWorker:
    """Return the worker; the factory that the stage names."""
    return SquareWorker(settings)


class SquareStage(Stage[str, int]):
    """Numbers from the spectra topic, squares to the observations topic."""

    name = StageName.EXTRACTION
    sources = (SPECTRA,)
    products = (OBSERVATIONS,)
    worker = "tests.stream.squares:create"

    def __init__(self, settings: SquareSettings) -> None:
        self.batch_size = settings.batch_size
        self.batch_seconds = settings.batch_seconds
        self._model_file = settings.model_file

    @property
    def worker_settings(self) -> dict[str, Any]:
        """Where the model is, and whom to kill."""
        return {"model_file": self._model_file, "parent": os.getpid()}

    def decode(self, incoming: Incoming) -> str:
        """Return the text of a record."""
        text = incoming.value.decode("utf-8", "replace")
        if text.split(":")[0] in WORDS or text.lstrip("-").isdigit():
            return text
        raise Rejected(DEAD_LETTER_REASON_MALFORMED, f"{text[:20]!r} is no number")

    def encode(self, incoming: Incoming, job: str, result: int) -> Sequence[Outgoing]:
        """Produce the square under the same key."""
        if job == "unsendable":
            return [Outgoing(OBSERVATIONS, incoming.key, "text, not bytes")]  # type: ignore[arg-type]
        return [Outgoing(OBSERVATIONS, incoming.key, str(result).encode())]
