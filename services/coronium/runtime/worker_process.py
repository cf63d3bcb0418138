"""What runs inside a worker process: load, warm, and answer one batch after the other.

The parent speaks first; every request gets one answer, a (word, content) pair: ``ready`` and the hash of the
model, ``results`` and the list, ``transient`` and a sentence, ``error`` and a traceback. This module imports
nothing heavy: the environment of the numerical libraries is set before the stage's own module is imported.
"""

import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from coronium.runtime.errors import StartError

_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(pipe: Connection, factory: str, settings: dict[str, Any], threads: int) -> None:
    """Run a worker until the pipe closes.

    Parameters
    ----------
    pipe : multiprocessing.connection.Connection
        To the parent.
    factory : str
        ``"package.module:function"``; called with `settings`, returns a `coronium.runtime.stage.Worker`.
    settings : dict
        Of the stage.
    threads : int
        Threads of the numerical libraries; 0 leaves it to them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_parent()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads:
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(threads)
    try:
        module, function = factory.split(":")
        worker = getattr(importlib.import_module(module), function)(settings)
        pipe.send(("ready", worker.warm()))
    except StartError as error:
        pipe.send(("error", str(error)))
        return
    except Exception as error:
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        return
    while True:
        try:
            jobs = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(worker, jobs))


def _answer(worker: Any, jobs: list[Any]) -> tuple[str, Any]:
    from coronium.runtime.stage import Transient

    try:
        results = worker.work(jobs)
    except Transient as fault:
        return "transient", str(fault)
    except Exception:
        return "error", traceback.format_exc()
    if len(results) != len(jobs):
        return "error", f"the worker returned {len(results)} results for {len(jobs)} jobs"
    return "results", results


def _die_with_parent() -> None:
    """Ask the kernel to kill this process with its parent: work that holds the interpreter's lock stops no kernel."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    """End this process when the parent is gone, on systems whose kernel does not."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
