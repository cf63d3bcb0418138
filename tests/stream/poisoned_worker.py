"""Extraction's own worker, which one target's spectra kill as a fault in a native library would."""

import os
import signal
from pathlib import Path
from typing import Any

from coronium.extraction.worker import Extracted, ExtractionWorker
from coronium.runtime.stage import Rejected
from coronium.v1 import spectrum_pb2

POISON = "poison/one"
"""Target whose spectra no worker survives."""


class PoisonedWorker(ExtractionWorker):
    """Dies of a batch that holds the poison; works on every other."""

    def work(self, jobs: list[bytes]) -> list[Extracted | Rejected]:
        """Extract, or die."""
        if any(spectrum_pb2.Observation.FromString(job).spectrum.target == POISON for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(jobs)


def create(settings: dict[str, Any]) -> PoisonedWorker:
    """Return the worker; the factory that the stage names."""
    return PoisonedWorker(settings["device"], Path(settings["weights"]) if settings["weights"] else None)
