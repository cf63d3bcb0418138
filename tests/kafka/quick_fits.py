"""A stage that takes fitting's place: it makes a posterior of a number at once, under model versions of our choice.

A record of features is ``WORD:NUMBER``. What the word is does not matter, but for ``broken``: that fails by our own
fault until the repair has been made. No other stage can read these bytes, so nothing but the headers ties a dead letter
to the result of its copy.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from coronium.contract.topics import FEATURES, POSTERIORS, StageName, Topic
from coronium.runtime.application import run_stage
from coronium.runtime.settings import ServiceSettings
from coronium.runtime.stage import Incoming, Outgoing, Rejected, Stage
from coronium.v1 import posterior_pb2
from coronium.v1.dead_letter_pb2 import DEAD_LETTER_REASON_MALFORMED
from tests.unit.posterior_factory import posterior


class QuickFitSettings(ServiceSettings):
    """Settings of the test stage."""

    service: ClassVar[str] = "fitting"

    priors: str = "default-1"
    repair: str = ""


class QuickFits(Stage[str, posterior_pb2.Posterior]):
    """Features in, posteriors out."""

    name: ClassVar[StageName] = StageName.FITTING
    sources: ClassVar[tuple[Topic, ...]] = (FEATURES,)
    products: ClassVar[tuple[Topic, ...]] = (POSTERIORS,)
    batch_size = 8

    def __init__(self, settings: QuickFitSettings) -> None:
        self._priors = settings.priors
        self._repair = Path(settings.repair)

    def decode(self, incoming: Incoming) -> str:
        """Return the text of a record."""
        text = incoming.value.decode("utf-8", "replace")
        if not text.partition(":")[2].isdecimal():
            raise Rejected(DEAD_LETTER_REASON_MALFORMED, f"{text[:20]!r} has no number")
        return text

    async def work(self, jobs: list[str]) -> list[posterior_pb2.Posterior | Rejected]:
        """Make the posteriors; the same number and the same priors give the same result id."""
        return [self._fit(job) for job in jobs]

    def encode(self, incoming: Incoming, job: str, result: posterior_pb2.Posterior) -> Sequence[Outgoing]:
        """Produce the posterior under its target."""
        return [Outgoing(POSTERIORS, result.target.encode(), result.SerializeToString())]

    def _fit(self, job: str) -> posterior_pb2.Posterior:
        word, _, number = job.partition(":")
        if word == "broken" and not self._repair.is_file():
            raise RuntimeError("a bad deploy")
        made = posterior(f"star {number}", seeds=(int(number),), priors=self._priors)
        made.fitted_at.GetCurrentTime()
        return made


def main() -> int:
    """Run the stage until SIGTERM."""
    settings = QuickFitSettings.load()
    return run_stage(QuickFits(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
