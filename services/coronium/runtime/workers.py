"""One worker process, seen from its parent.

Torch and JAX hold the interpreter's lock for long and crash in ways Python cannot catch, so their work lives in
a process of its own. It is spawned, never forked: gRPC and the runtimes of JAX do not survive a fork. The
parent kills it when a batch passes its deadline or when its memory passes the limit, before the kernel chooses
a victim for us.
"""

import asyncio
import logging
import multiprocessing
import time
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import psutil

from coronium.runtime import metrics
from coronium.runtime.stage import Transient
from coronium.runtime.worker_process import main

Cause = Literal["crash", "deadline", "memory", "internal"]

_WATCH_SECONDS = 0.1

log = logging.getLogger(__name__)


class WorkFailed(Exception):
    """The work of a batch ended without results and it is our own fault.

    Parameters
    ----------
    cause : {'crash', 'deadline', 'memory', 'internal'}
        How it ended; ``internal`` is an exception of the stage's code.
    detail : str
        What is known, for the dead letter and the log.
    """

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause: Cause = cause
        self.detail = detail


class ModelRefused(Exception):
    """A worker could not load its model, or loaded another one than was asked for."""


class NoWorker(Transient):
    """The worker died and none with the same model can be had for now. No fault of any record's."""


class WorkerProcess:
    """One worker process and the pipe to it. Used for one call at a time; does not come back from death."""

    def __init__(self, factory: str, settings: dict[str, Any], threads: int, memory_bytes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=main, args=(theirs, factory, settings, threads), daemon=True, name="worker"
        )
        self._process.start()
        theirs.close()
        self._memory_bytes = memory_bytes
        self._killed_for: Cause | None = None
        self.model_hash = ""

    @property
    def alive(self) -> bool:
        """Whether the process can take another batch."""
        return self._killed_for is None and self._process.is_alive()

    def kill(self, cause: Cause = "crash") -> None:
        """End the process at once."""
        self._killed_for = self._killed_for or cause
        self._process.kill()

    async def warm(self, seconds: float) -> None:
        """Wait until the worker is ready. Raises `ModelRefused`."""
        try:
            word, content = await self._watched(asyncio.to_thread(self._pipe.recv), seconds)
        except WorkFailed as failure:
            raise ModelRefused(failure.detail) from failure
        if word != "ready":
            raise ModelRefused(str(content))
        self.model_hash = content

    async def run(self, jobs: list[Any], seconds: float) -> list[Any]:
        """Work on one batch; see `Executor.run`. Cancelling kills the process."""
        word, content = await self._watched(asyncio.to_thread(self._exchange, jobs), seconds)
        if word == "transient":
            raise Transient(content)
        if word == "error":
            log.error("the work of a batch failed", extra={"traceback": content})
            raise WorkFailed("internal", str(content).strip().splitlines()[-1])
        return content

    def _exchange(self, jobs: list[Any]) -> tuple[str, Any]:
        self._pipe.send(jobs)
        return self._pipe.recv()

    async def _watched(self, exchange: Any, seconds: float) -> tuple[str, Any]:
        """Await one answer while looking at the clock and at the memory of the process."""
        task = asyncio.ensure_future(exchange)
        until = time.monotonic() + seconds
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_WATCH_SECONDS)
                if not task.done() and time.monotonic() > until:
                    self.kill("deadline")
                elif self._memory() > self._memory_bytes and not task.done():
                    self.kill("memory")
            return task.result()
        except asyncio.CancelledError:
            self.kill()
            raise
        except (EOFError, OSError):
            raise WorkFailed(self._cause(), self._obituary(seconds)) from None

    def _cause(self) -> Cause:
        self._killed_for = self._killed_for or "crash"
        return self._killed_for

    def _obituary(self, seconds: float) -> str:
        if self._killed_for == "deadline":
            return f"the worker took longer than {seconds:g} s and was killed"
        if self._killed_for == "memory":
            return f"the worker passed {self._memory_bytes // 1024**2} MiB of memory and was killed"
        self._process.join(5)
        return f"the worker process died with exit code {self._process.exitcode}"

    def _memory(self) -> int:
        try:
            rss = psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return 0
        metrics.WORKER_MEMORY.set(rss)
        return rss
