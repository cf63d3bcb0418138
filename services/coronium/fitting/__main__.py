"""`python -m coronium.fitting`: the fitting service."""

import sys

from coronium.fitting.settings import FittingSettings
from coronium.fitting.stage import FittingStage
from coronium.runtime.application import run_stage
from coronium.runtime.settings import SettingsError, exit_on_settings_error


def main() -> int:
    """Read the settings and run until told to end; return the exit code."""
    try:
        settings = FittingSettings.load()
    except SettingsError as error:
        exit_on_settings_error(error)
    return run_stage(FittingStage(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
