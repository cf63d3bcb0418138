"""The test stage as a program: a service like any other, configured by the environment.

The worker process imports the main module of its parent, so nothing heavy is imported here by its name.
"""

import sys


def main() -> int:
    """Run the stage until SIGTERM."""
    from coronium.runtime.application import run_stage
    from coronium.runtime.errors import SettingsError
    from coronium.runtime.settings import exit_on_settings_error
    from tests.stream.squares import SquareSettings, SquareStage

    try:
        settings = SquareSettings.load()
    except SettingsError as error:
        exit_on_settings_error(error)
        raise
    return run_stage(SquareStage(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
