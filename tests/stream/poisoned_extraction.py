"""The extraction service with a worker that can be poisoned; all else is the service's own.

The worker process imports the main module of its parent, so nothing heavy is imported here by its name.
"""

import sys


def main() -> int:
    """Run the stage until SIGTERM."""
    from coronium.extraction.settings import ExtractionSettings
    from coronium.extraction.stage import ExtractionStage
    from coronium.runtime.application import run_stage

    class PoisonedStage(ExtractionStage):
        worker = "tests.stream.poisoned_worker:create"

    settings = ExtractionSettings.load()
    return run_stage(PoisonedStage(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
