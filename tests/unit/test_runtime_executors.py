"""Whatever is installed, work is done with the model that was accepted, or waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coronium.runtime.executors import InWorker
from coronium.runtime.settings import LoopSettings
from coronium.runtime.workers import ModelRefused, NoWorker, WorkFailed
from tests.stream.squares import SquareSettings, SquareStage


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model"
    file.write_text("good")
    return file


@pytest.fixture
async def executor(model: Path) -> AsyncIterator[InWorker]:
    settings = SquareSettings(model_file=str(model), loop=LoopSettings(backoff_seconds=0.01))
    executor = InWorker(SquareStage(settings), settings)
    await executor.start()
    yield executor
    await executor.stop()


async def die(executor: InWorker) -> None:
    with pytest.raises(WorkFailed, match="exit code"):
        await executor.run(["abort"])


async def test_a_refused_model_is_not_worked_with_after_the_worker_dies_either(executor: InWorker, model: Path) -> None:
    model.write_text("bad")
    with pytest.raises(ModelRefused, match="has hash bad, not better"):
        await executor.reload("better")
    assert (executor.model_hash, await executor.run(["2"])) == ("good", [4])
    await die(executor)
    with pytest.raises(NoWorker, match="has hash bad, not good"):
        await executor.run(["2"])
    model.unlink()
    with pytest.raises(NoWorker):
        await executor.run(["2"])
    model.write_text("good")
    while True:
        try:
            assert await executor.run(["2"]) == [4]
            break
        except NoWorker:
            await asyncio.sleep(0.01)


async def test_a_dead_worker_is_replaced_by_one_with_the_model_that_a_reload_accepted(
    executor: InWorker, model: Path
) -> None:
    model.write_text("better")
    await executor.reload("better")
    await die(executor)
    assert (await executor.run(["2"]), executor.model_hash) == ([4], "better")


async def test_while_no_worker_can_be_had_a_reload_brings_one(executor: InWorker, model: Path) -> None:
    model.write_text("other")
    await die(executor)
    with pytest.raises(NoWorker):
        await executor.ready()
    await executor.reload("")
    assert (await executor.run(["2"]), executor.model_hash) == ([4], "other")
