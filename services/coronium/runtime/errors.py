"""Errors that end a service with one sentence and an exit code of their own."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTED = 3
EXIT_UNREACHABLE = 4


class StartError(Exception):
    """A service cannot start. The message is one sentence that says what is missing and what to do.

    Parameters
    ----------
    sentence : str
        What the operator reads.
    code : int
        Exit code of the process.
    """

    def __init__(self, sentence: str, code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.code = code


class SettingsError(StartError):
    """A setting is unknown, missing or out of range."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, EXIT_USAGE)


class Refused(StartError):
    """A broker answers and does not let us in, or does not let us do what we need."""


class Unreachable(StartError):
    """A broker, database or service does not answer."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, EXIT_UNREACHABLE)
