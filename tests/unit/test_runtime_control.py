"""Every change of the desired state that was answered holds, whoever else changes it at the moment."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

import pytest

from coronium.runtime import logging as logs
from coronium.runtime.application import _Application
from coronium.runtime.stage import Outgoing, Transient
from coronium.v1.control_pb2 import DesiredState
from tests.stream.squares import SquareSettings, SquareStage
from tests.unit.control_topic import KAFKA, ControlTopic


@pytest.fixture
def topic() -> ControlTopic:
    return ControlTopic()


def pause(desired: DesiredState) -> None:
    desired.paused = True


def debug(desired: DesiredState) -> None:
    desired.log_level = "debug"


def resume(desired: DesiredState) -> None:
    desired.paused = False
    desired.resume_generation += 1


def reload(desired: DesiredState) -> None:
    desired.reload_generation += 1


@pytest.mark.parametrize("replicas", [1, 2], ids=["through one replica", "through two"])
async def test_changes_at_the_same_moment_all_hold(topic: ControlTopic, replicas: int) -> None:
    controls = [topic.replica(str(n)) for n in range(replicas)]
    changes: list[Callable[[DesiredState], None]] = [pause, debug, reload, reload]
    answers = await asyncio.gather(*(controls[n % replicas].change(change) for n, change in enumerate(changes)))
    assert answers[0].paused
    assert answers[1].log_level == "debug"
    late = topic.replica("late")
    for control in (*controls, late):
        await control._reader.catch_up()
        desired = control.desired
        assert (desired.paused, desired.log_level, desired.reload_generation) == (True, "debug", 2)


async def test_a_change_that_others_always_overtake_is_refused(topic: ControlTopic) -> None:
    control, other = topic.replica("a"), topic.replica("b")

    async def overtaken(records: Sequence[Outgoing]) -> None:
        await other.change(debug)
        await topic.produce(records)

    control._produce = overtaken
    with pytest.raises(Transient, match="at the same moment"):
        await control.change(pause)
    assert not control.desired.paused


@pytest.fixture
def level_of_logs() -> Iterator[None]:
    """The level is the process's: what this test sets is nobody else's."""
    levels = {name: logging.getLogger(name).level for name in ("", *logs.LIBRARIES, *logs.WIRE)}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("level_of_logs")
async def test_a_stage_stopped_by_its_failures_stays_stopped_until_a_resume_also_where_no_one_could_be_told(
    topic: ControlTopic,
) -> None:
    settings = SquareSettings(kafka=KAFKA)
    application = _Application(SquareStage(settings), settings, [])
    application._control = topic.replica("a")
    operator = topic.replica("b")

    async def change(update: Callable[[DesiredState], None]) -> None:
        await operator.change(update)
        await application._control._reader.catch_up()
        await application._apply(application._control.desired)

    topic.away = True
    await application._stop_for_failures()
    topic.away = False
    await change(debug)
    assert application._loop.paused
    assert application._control.report.paused
    await change(resume)
    assert not application._loop.paused
    assert not application._control.report.paused
    await application._grpc.stop()
