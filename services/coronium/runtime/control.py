"""The desired state of a stage, and what its replicas have made of it.

Both live in the compacted topic `CONTROL`: the desired state under the stage's name, what a replica applied
under ``stage/replica``. Any replica's `ControlService` changes the desired state; every replica reads it at the
start and follows it between batches, so a replica that was away applies it when it is back.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

import grpc
from google.protobuf.message import DecodeError

from coronium.contract.limits import MAX_NAME
from coronium.contract.topics import CONTROL, StageName
from coronium.contract.wire import read_message
from coronium.runtime import metrics
from coronium.runtime.compacted import CompactedTopicReader
from coronium.runtime.settings import KafkaSettings
from coronium.runtime.stage import Outgoing, Transient
from coronium.v1 import control_pb2, control_pb2_grpc

REPORT_SECONDS = 5.0
"""A replica reports at least this often."""

FORGET_SECONDS = 4 * REPORT_SECONDS
"""A replica that was silent for this long is not listed any more."""

_MOST_GENERATIONS = 2**63

_MOST_TRIES = 10
"""To write a change where others write theirs; of those who write at once one wins each time."""

LOG_LEVELS = ("debug", "info", "warning", "error")

Produce = Callable[[Sequence[Outgoing]], Awaitable[None]]

log = logging.getLogger(__name__)


class Control:
    """Reads and writes the control topic for one replica of one stage.

    Attributes
    ----------
    desired : DesiredState
        What the operator wants; the default state where nobody ever said anything.
    changed : asyncio.Event
        Set whenever `desired` changes.
    report : ReplicaState
        What this replica tells; change its fields, then call `tell`.
    """

    def __init__(self, kafka: KafkaSettings, stage: StageName, replica: str, produce: Produce) -> None:
        self._stage = stage
        self._produce = produce
        self._key = stage.value.encode()
        self._own_key = f"{stage.value}/{replica}".encode()
        self._reader = CompactedTopicReader(kafka, kafka.topics.name(CONTROL), self._on_record)
        self.desired = control_pb2.DesiredState(stage=stage.value)
        self.changed = asyncio.Event()
        self.report = control_pb2.ReplicaState(stage=stage.value, replica=replica)
        self._task: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._offered: bytes | None = None

    async def start(self) -> None:
        """Read the desired state. Raises what `CompactedTopicReader.start` raises."""
        await self._reader.start()
        await self._reader.catch_up()
        self.changed.set()

    def begin_reporting(self) -> None:
        """Tell the others regularly that this replica lives."""
        self._task = asyncio.create_task(self._tell_regularly(), name="report state")

    async def stop(self) -> None:
        """Take this replica off the list and let go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            with contextlib.suppress(Transient):
                await self._produce([Outgoing(CONTROL, self._own_key, None)])
        await self._reader.stop()

    async def change(self, update: Callable[[control_pb2.DesiredState], None]) -> control_pb2.DesiredState:
        """Change the desired state for all replicas.

        Parameters
        ----------
        update : callable
            Changes the message it is given.

        Returns
        -------
        DesiredState
            As every replica reads it.

        Raises
        ------
        Transient
            The broker does not answer, or others change the state all the time.
        """
        async with self._changing:
            for _ in range(_MOST_TRIES):
                await self._reader.catch_up()
                desired = control_pb2.DesiredState()
                desired.CopyFrom(self.desired)
                update(desired)
                desired.generation += 1
                desired.changed_at.GetCurrentTime()
                self._offered = desired.SerializeToString()
                await self._produce([Outgoing(CONTROL, self._key, self._offered)])
                await self._reader.catch_up()
                if self._offered is None:
                    return desired
        raise Transient("others change the state of this stage at the same moment: try again")

    async def tell(self) -> None:
        """Publish `report`. Raises `Transient`."""
        self.report.reported_at.GetCurrentTime()
        await self._produce([Outgoing(CONTROL, self._own_key, self.report.SerializeToString())])

    async def replicas(self) -> list[control_pb2.ReplicaState]:
        """Return what the living replicas last told, by name. Raises `Transient`."""
        await self._reader.catch_up()
        oldest = time.time() - FORGET_SECONDS
        states = []
        for key, value in sorted(self._reader.values.items()):
            if key.startswith(self._key + b"/"):
                with contextlib.suppress(DecodeError):
                    states.append(read_message(control_pb2.ReplicaState, value))
        return [state for state in states if state.reported_at.ToSeconds() >= oldest]

    async def _tell_regularly(self) -> None:
        while True:
            with contextlib.suppress(Transient):
                await self.tell()
            await asyncio.sleep(REPORT_SECONDS)

    def _on_record(self, partition: int, key: bytes, value: bytes | None) -> None:
        if key != self._key or value is None:
            return
        desired = read_desired(value)
        if desired is None:
            log.warning("what the control topic says of this stage makes no sense and is passed over")
        elif desired.generation > self.desired.generation:
            # The first of a generation counts, for all who read: who wrote another one knows it was not seen.
            self.desired = desired
            if value == self._offered:
                self._offered = None
            self.changed.set()


def read_desired(value: bytes) -> control_pb2.DesiredState | None:
    """Read a desired state; None where the bytes are none that a replica could follow."""
    try:
        desired = read_message(control_pb2.DesiredState, value)
    except DecodeError:
        return None
    # A higher generation could never be followed by another.
    sound = all(
        count < _MOST_GENERATIONS
        for count in (desired.generation, desired.reload_generation, desired.resume_generation)
    )
    return desired if sound and desired.log_level in ("", *LOG_LEVELS) else None


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """`ControlService`: steers the whole stage through any replica."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def Status(
        self, request: control_pb2.StatusRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.StatusResponse:
        """Return the desired state and what each replica has applied."""
        try:
            replicas = await self._control.replicas()
        except Transient as fault:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(fault))
        return control_pb2.StatusResponse(
            desired=self._control.desired,
            replicas=replicas,
            software_version=version("coronium"),
            messages_in=metrics.total(metrics.MESSAGES_IN),
            messages_out=metrics.total(metrics.MESSAGES_OUT),
            messages_rejected=metrics.total(metrics.MESSAGES_REJECTED),
            replica=self._control.report.replica,
        )

    async def Pause(
        self, request: control_pb2.PauseRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.PauseResponse:
        """Take up no further batch; the group membership stays."""

        def update(desired: control_pb2.DesiredState) -> None:
            desired.paused = True

        return control_pb2.PauseResponse(desired=await self._change(update, context))

    async def Resume(
        self, request: control_pb2.ResumeRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.ResumeResponse:
        """Go on, after a pause, a drain or a stop by failures."""

        def update(desired: control_pb2.DesiredState) -> None:
            desired.paused = False
            desired.draining = False
            desired.resume_generation += 1

        return control_pb2.ResumeResponse(desired=await self._change(update, context))

    async def Drain(
        self, request: control_pb2.DrainRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.DrainResponse:
        """Make every replica finish its batch, commit, leave the group and exit."""

        def update(desired: control_pb2.DesiredState) -> None:
            desired.draining = True

        return control_pb2.DrainResponse(desired=await self._change(update, context))

    async def Reload(
        self, request: control_pb2.ReloadRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.ReloadResponse:
        """Make every replica load its model again; where it cannot, the old one stays."""
        if len(request.model_hash) > MAX_NAME:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"model_hash has more than {MAX_NAME} characters")

        def update(desired: control_pb2.DesiredState) -> None:
            desired.reload_generation += 1
            desired.model_hash = request.model_hash

        return control_pb2.ReloadResponse(desired=await self._change(update, context))

    async def SetLogLevel(
        self, request: control_pb2.SetLogLevelRequest, context: grpc.aio.ServicerContext
    ) -> control_pb2.SetLogLevelResponse:
        """Set the log level of every replica."""
        if request.level not in LOG_LEVELS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the level must be one of {', '.join(LOG_LEVELS)}")

        def update(desired: control_pb2.DesiredState) -> None:
            desired.log_level = request.level

        return control_pb2.SetLogLevelResponse(desired=await self._change(update, context))

    async def _change(
        self, update: Callable[[control_pb2.DesiredState], None], context: grpc.aio.ServicerContext
    ) -> control_pb2.DesiredState:
        try:
            return await self._control.change(update)
        except Transient as fault:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(fault))
            raise
