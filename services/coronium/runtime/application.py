"""One stage as a service: the loop, its control, gRPC, metrics, and an orderly end.

On SIGTERM a replica stops fetching, finishes its batch, publishes, commits, leaves the group and exits 0. On
anything unexpected it exits at once with nothing of its batch committed: the records are worked on again.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from coronium.contract.access import stage_permissions
from coronium.contract.headers import Headers
from coronium.runtime import admin, metrics
from coronium.runtime import logging as logs
from coronium.runtime.access import require
from coronium.runtime.attempts import Attempts
from coronium.runtime.control import Control, ControlServicer
from coronium.runtime.errors import EXIT_DONE, EXIT_FAILED, StartError
from coronium.runtime.executors import executor_for
from coronium.runtime.faust_app import StreamClient, create_app
from coronium.runtime.grpc_server import GrpcServer
from coronium.runtime.loop import StageLoop
from coronium.runtime.settings import ServiceSettings
from coronium.runtime.stage import Outgoing, Stage, Transient
from coronium.runtime.workers import ModelRefused, NoWorker
from coronium.v1 import control_pb2, control_pb2_grpc

log = logging.getLogger(__name__)

_WATCH_SECONDS = 0.25
_LEAVE_SECONDS = 15.0


class Publisher:
    """Lets a servicer produce through the service's own producer."""

    def __init__(self, client: StreamClient) -> None:
        self._client = client

    async def publish(self, records: Sequence[Outgoing], headers: Headers) -> None:
        """Produce and return when the broker has acknowledged all. Raises `Transient`."""
        await self._client.produce([(record, headers) for record in records])


Servicer = Callable[[grpc.aio.Server, Publisher], str]
"""Adds a servicer of the stage to a server and returns the full name of its service."""


def run_stage(stage: Stage[Any, Any], settings: ServiceSettings, servicers: Sequence[Servicer] = ()) -> int:
    """Run a stage until SIGTERM, SIGINT or a drain.

    Parameters
    ----------
    stage : Stage
        What is done.
    settings : ServiceSettings
        Of this service.
    servicers : sequence of Servicer
        gRPC services beside `ControlService`, health and reflection.

    Returns
    -------
    int
        Exit code; a fault at the start is told in one sentence on standard error.
    """
    logs.configure(stage.name.value, settings.replica, settings.log_level)

    async def run() -> int:
        # gRPC and faust belong to the event loop they are created on.
        return await _Application(stage, settings, servicers).run()

    try:
        return asyncio.run(run())
    except StartError as error:
        print(f"coronium {stage.name.value}: {error}", file=sys.stderr, flush=True)
        return error.code


def exit_now(code: int) -> None:
    """End this process at once, committing nothing; the worker ends with it."""
    logging.shutdown()
    os._exit(code)


class _Application:
    def __init__(self, stage: Stage[Any, Any], settings: ServiceSettings, servicers: Sequence[Servicer]) -> None:
        self._stage = stage
        self._settings = settings
        self._app = create_app(stage, settings)
        self._client = StreamClient(self._app, stage, settings.kafka.topics)
        self._executor = executor_for(stage, settings)
        self._attempts = Attempts(settings.kafka, stage.name)
        self._control = Control(settings.kafka, stage.name, settings.replica, self._produce)
        self._loop = StageLoop(stage, settings.loop, self._client, self._executor, self._attempts)
        publisher = Publisher(self._client)
        self._grpc = GrpcServer(
            settings.grpc,
            settings.auth,
            self._register_control,
            *(lambda server, add=add: add(server, publisher) for add in servicers),
        )
        self._stop = asyncio.Event()
        self._reloaded = 0
        self._resumed = 0
        self._stopped_by_failures = False
        self._began_draining = False

    async def run(self) -> int:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            running = asyncio.create_task(self._loop.run(self._between, self._stop_for_failures), name="loop")
            log.info("ready", extra={"grpc_port": self._grpc.port, "model_hash": self._executor.model_hash})
            await self._until_stopped(running)
            log.info("stopping")
            watchdog = asyncio.get_running_loop().call_later(self._settings.loop.grace_seconds, exit_now, EXIT_FAILED)
            stack.callback(watchdog.cancel)
            await self._grpc.say(serving=False)
            await self._loop.close()
            await running
        log.info("stopped")
        return EXIT_DONE

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start all parts in order; `stack` ends them in reverse."""
        settings = self._settings
        self._serve_metrics()
        await self._check_topics()
        stack.push_async_callback(self._stage.stop)
        await self._stage.start()
        stack.push_async_callback(self._executor.stop)
        try:
            await self._executor.start()
        except ModelRefused as error:
            raise StartError(f"the model cannot be loaded: {str(error).rstrip('.')}.") from None
        try:
            stack.push_async_callback(self._attempts.stop)
            await self._attempts.start()
            await self._control.start()
            await self._app.producer.maybe_start()
        except KafkaError:
            raise admin.unreachable(settings.kafka) from None
        self._take_first_state(self._control.desired)
        self._client.subscribe(self._loop.on_event, self._loop.on_revoked)
        stack.push_async_callback(self._leave_group)
        # Joining the group waits for its other members to finish their batches; we can be spoken to before.
        self._starting = asyncio.create_task(self._app.start(), name="start faust")
        stack.push_async_callback(self._control.stop)
        self._control.begin_reporting()
        await self._grpc.start()
        stack.push_async_callback(self._grpc.stop)

    def _serve_metrics(self) -> None:
        host, port = self._settings.metrics.host, self._settings.metrics.port
        try:
            metrics.serve(host, port)
        except OSError:
            raise StartError(f"metrics cannot be served on {host}:{port}: the port is taken; choose another.") from None

    async def _check_topics(self) -> None:
        kafka, stage = self._settings.kafka, self._stage
        needed = stage_permissions(stage.name, stage.sources, stage.products, stage.memory, kafka.topics)
        await asyncio.to_thread(require, kafka, needed)

    async def _until_stopped(self, running: asyncio.Task[None]) -> None:
        """Return on SIGTERM or a drain; end the process when the loop or faust has failed."""
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._stop.wait()
            if running.done():
                log.critical("the loop failed; nothing of its batch is committed", exc_info=running.exception())
                exit_now(EXIT_FAILED)
            failure = self._app.crash_reason or (self._starting.done() and self._starting.exception())
            if isinstance(failure, GroupAuthorizationFailedError):
                log.critical(
                    "the group is forbidden to us; nothing of the batch is committed",
                    extra={"detail": f"{self._settings.kafka.connection.who}: {failure!r}"},
                )
                exit_now(EXIT_FAILED)
            if self._app.crashed or failure:
                log.critical("faust failed; nothing of the batch is committed", exc_info=failure)
                exit_now(EXIT_FAILED)

    async def _leave_group(self) -> None:
        self._starting.cancel()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._app.stop()
        except TimeoutError:
            log.warning("leaving the group took too long; the broker will notice")

    async def _between(self) -> None:
        """Apply the desired state and refresh what is told about this replica, between two batches."""
        await self._attempts.tell_owed(self._produce)
        partitions = self._client.partitions()
        metrics.PARTITIONS.set(len(partitions))
        for topic, lag in self._client.lag().items():
            metrics.LAG.labels(topic=topic).set(lag)
        numbers = sorted({partition for _, partition in partitions})
        if list(self._control.report.partitions) != numbers:
            self._control.report.partitions[:] = numbers
            await self._tell()
        self._control.report.state_digests.clear()
        self._control.report.state_digests.update(self._stage.digests())
        if self._control.changed.is_set():
            self._control.changed.clear()
            await self._apply(self._control.desired)
        try:
            await self._executor.ready()
        except NoWorker:
            self._loop.paused = True
        else:
            self._hold(self._control.desired)

    def _take_first_state(self, desired: control_pb2.DesiredState) -> None:
        """Apply what needs no running loop: a reload asked for before this start is done by the start."""
        self._reloaded = desired.reload_generation
        self._resumed = desired.resume_generation
        self._began_draining = desired.draining
        report = self._control.report
        report.model_hash = self._executor.model_hash
        if desired.model_hash and desired.model_hash != self._executor.model_hash:
            report.reload_error = (
                f"the installed model has hash {self._executor.model_hash or 'none'}, not {desired.model_hash}"
            )
            metrics.RELOAD_ERRORS.inc()
        self._hold(desired)

    async def _apply(self, desired: control_pb2.DesiredState) -> None:
        report = self._control.report
        if desired.resume_generation != self._resumed:
            self._resumed = desired.resume_generation
            self._stopped_by_failures = False
            self._loop.failures.reset()
            metrics.STOPPED_BY_FAILURES.set(0)
        # Who starts while the stage is drained waits for the resume: only the change itself ends a replica.
        if desired.draining and not self._began_draining:
            self._stop.set()
        self._began_draining = desired.draining
        self._hold(desired)
        logs.set_level(desired.log_level or self._settings.log_level)
        if desired.reload_generation != self._reloaded:
            self._reloaded = desired.reload_generation
            await self._reload(desired.model_hash)
        report.applied_generation = desired.generation
        report.paused = desired.paused or self._stopped_by_failures
        report.draining = desired.draining
        await self._tell()

    def _hold(self, desired: control_pb2.DesiredState) -> None:
        """Take up batches or none: by what is desired, and by a stop that may have reached nobody else."""
        self._loop.paused = desired.paused or desired.draining or self._stopped_by_failures
        metrics.PAUSED.set(self._loop.paused)

    async def _tell(self) -> None:
        # What is not told now is told with the next regular report.
        with contextlib.suppress(Transient):
            await self._control.tell()

    async def _reload(self, expected_hash: str) -> None:
        report = self._control.report
        try:
            await self._executor.reload(expected_hash)
            report.reload_error = ""
        except ModelRefused as error:
            log.error("the reload was refused, the old model stays", extra={"detail": str(error)})
            metrics.RELOAD_ERRORS.inc()
            report.reload_error = str(error)
        report.model_hash = self._executor.model_hash

    async def _stop_for_failures(self) -> None:
        def update(desired: control_pb2.DesiredState) -> None:
            desired.paused = True

        self._stopped_by_failures = True
        try:
            await self._control.change(update)
        except Transient as fault:
            # This replica stays paused until a resume; the others count their own failures.
            log.error("the other replicas were not told to pause", extra={"detail": str(fault)})
        self._control.changed.set()

    async def _produce(self, records: Sequence[Outgoing]) -> None:
        await self._client.produce([(record, None) for record in records])

    def _register_control(self, server: grpc.aio.Server) -> str:
        control_pb2_grpc.add_ControlServiceServicer_to_server(ControlServicer(self._control), server)
        return control_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name
