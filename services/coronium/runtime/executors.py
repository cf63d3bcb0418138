"""Where the work of a stage runs: in a worker process that may die, or in the parent."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from typing import Any

from coronium.runtime import metrics
from coronium.runtime.settings import ServiceSettings
from coronium.runtime.stage import Stage, Transient, WentBack
from coronium.runtime.workers import ModelRefused, NoWorker, WorkerProcess, WorkFailed

log = logging.getLogger(__name__)


class Executor(ABC):
    """Runs the work of batches, one at a time.

    Attributes
    ----------
    model_hash : str
        Of the model that is worked with: loaded by `start` or accepted by `reload`.
    """

    model_hash: str = ""

    @abstractmethod
    async def start(self) -> None:
        """Make ready. Raises `ModelRefused`."""

    async def ready(self) -> None:
        """Return when work can be taken up; a fault is tried again with back-off. Raises `NoWorker`."""
        return

    @abstractmethod
    async def run(self, jobs: list[Any]) -> list[Any]:
        """Work on a batch.

        Returns
        -------
        list
            A result or a `Rejected` for each job, in order.

        Raises
        ------
        WorkFailed
            Worker died, deadline passed, or an exception that the stage did not expect.
        NoWorker
            Nothing was begun: see `ready`.
        Transient
            To be tried again.
        WentBack
            Records before these come first.
        """

    async def reload(self, expected_hash: str) -> None:
        """Replace the model; the old one stays where the new one cannot be had. Raises `ModelRefused`."""
        return

    @abstractmethod
    async def stop(self) -> None:
        """End, whatever is being done."""


def executor_for(stage: Stage[Any, Any], settings: ServiceSettings) -> Executor:
    """Return the executor a stage asks for."""
    return InParent(stage, settings) if stage.worker is None else InWorker(stage, settings)


class InParent(Executor):
    """Runs `Stage.work` on the event loop of the parent."""

    def __init__(self, stage: Stage[Any, Any], settings: ServiceSettings) -> None:
        self._stage = stage
        self._deadline = settings.loop.deadline_seconds

    async def start(self) -> None:
        """Nothing to load."""

    async def run(self, jobs: list[Any]) -> list[Any]:
        """Work on a batch; see `Executor.run`."""
        try:
            async with asyncio.timeout(self._deadline):
                results = await self._stage.work(jobs)
        except (Transient, WentBack):
            raise
        except TimeoutError:
            raise WorkFailed("deadline", f"the work took longer than {self._deadline:g} s") from None
        except Exception as error:
            log.exception("the work of a batch failed")
            raise WorkFailed("internal", f"{type(error).__name__}: {error}") from error
        if len(results) != len(jobs):
            raise WorkFailed("internal", f"the stage returned {len(results)} results for {len(jobs)} jobs")
        return results

    async def stop(self) -> None:
        """Nothing to end."""


class InWorker(Executor):
    """Runs the work in a spawned process; replaces it when it dies, by one with the same model, and on reload."""

    def __init__(self, stage: Stage[Any, Any], settings: ServiceSettings) -> None:
        self._stage = stage
        self._settings = settings
        self._worker: WorkerProcess | None = None
        self._fault = ""
        self._wait = settings.loop.backoff_seconds
        self._try_at = 0.0

    async def start(self) -> None:
        """Spawn and warm the first worker; see `Executor.start`."""
        self._take(await self._spawn())

    async def ready(self) -> None:
        """Replace a worker that died. Whatever is installed meanwhile, only `reload` changes the model."""
        if self._worker is not None and self._worker.alive:
            return
        if time.monotonic() < self._try_at:
            raise NoWorker(self._fault)
        try:
            self._take(await self._spawn(self.model_hash))
        except ModelRefused as error:
            self._fault = f"the worker died and none starts with its model: {error}"
            log.error("no worker: put the model back or reload", extra={"detail": self._fault, "seconds": self._wait})
            metrics.WORKER_MISSING.set(1)
            self._try_at = time.monotonic() + self._wait
            self._wait = min(2 * self._wait, self._settings.loop.backoff_max_seconds)
            raise NoWorker(self._fault) from error

    async def run(self, jobs: list[Any]) -> list[Any]:
        """Work on a batch, in a new worker where the last one died; see `Executor.run`."""
        await self.ready()
        assert self._worker is not None
        try:
            return await self._worker.run(jobs, self._settings.loop.deadline_seconds)
        except WorkFailed as failure:
            if failure.cause != "internal":
                metrics.WORKER_RESTARTS.labels(cause=failure.cause).inc()
                log.error("the worker ended", extra={"cause": failure.cause, "detail": failure.detail})
            raise

    async def reload(self, expected_hash: str) -> None:
        """Warm a new worker beside the old one, then let the old one go; see `Executor.reload`."""
        self._take(await self._spawn(expected_hash or None))
        metrics.WORKER_RESTARTS.labels(cause="reload").inc()

    async def stop(self) -> None:
        """Kill the worker."""
        if self._worker is not None:
            self._worker.kill()

    def _take(self, worker: WorkerProcess) -> None:
        """Work with this worker from now on."""
        old, self._worker = self._worker, worker
        if old is not None:
            old.kill()
        self.model_hash = worker.model_hash
        self._wait, self._try_at = self._settings.loop.backoff_seconds, 0.0
        metrics.WORKER_MISSING.set(0)

    async def _spawn(self, expected_hash: str | None = None) -> WorkerProcess:
        """Return a warm worker, with the expected model where one is. Raises `ModelRefused`."""
        assert self._stage.worker is not None
        worker = WorkerProcess(
            self._stage.worker,
            self._stage.worker_settings,
            self._settings.worker.threads,
            self._settings.worker.memory_mib * 1024 * 1024,
        )
        begun = time.monotonic()
        try:
            await worker.warm(self._settings.worker.warm_seconds)
            if expected_hash is not None and worker.model_hash != expected_hash:
                raise ModelRefused(
                    f"the installed model has hash {worker.model_hash or 'none'}, not {expected_hash or 'none'}"
                )
        except BaseException:
            worker.kill()
            raise
        metrics.WORKER_WARM_SECONDS.set(time.monotonic() - begun)
        return worker
