"""`python -m coronium.extraction`: the extraction service."""

import sys

from coronium.extraction.settings import ExtractionSettings
from coronium.extraction.stage import ExtractionStage
from coronium.runtime.application import run_stage
from coronium.runtime.settings import SettingsError, exit_on_settings_error


def run(settings: ExtractionSettings) -> int:
    """Run the service until it is told to end; return the exit code."""
    return run_stage(ExtractionStage(settings), settings)


def main() -> int:
    """Read the settings and run."""
    try:
        settings = ExtractionSettings.load()
    except SettingsError as error:
        exit_on_settings_error(error)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
