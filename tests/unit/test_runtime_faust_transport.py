"""Faust passes on everything that is read again, whatever was on its way when the partition was sought back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from coronium.runtime.faust_app import create_app
from tests.stream.squares import SquareSettings, SquareStage

PARTITION = TP("coronium.spectra.v1", 0)


async def test_a_record_on_its_way_while_its_partition_is_sought_back_hides_none_that_are_read_again() -> None:
    app = create_app(SquareStage(SquareSettings()), SquareSettings())
    read = [[83], [63, 64, 83]]
    passed: list[int] = []
    fetcher = SimpleNamespace(_stopped=asyncio.Event())

    async def callback(message: Any) -> None:
        passed.append(message.offset)
        if len(passed) == 1:
            # The loop asks for what is missing while faust still waits for it to take this record.
            await consumer.seek(PARTITION, 63)

    async def ignored(*_: Any, **__: Any) -> None:
        return

    async def getmany(timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        for offset in read.pop(0):
            yield PARTITION, SimpleNamespace(offset=offset, topic=PARTITION.topic, key=b"", value=b"")
        if not read:
            fetcher._stopped.set()

    consumer: Any = app.transport.create_consumer(
        callback=callback, on_partitions_revoked=ignored, on_partitions_assigned=ignored
    )
    consumer.getmany, consumer._seek = getmany, ignored
    await consumer._drain_messages(fetcher)
    assert passed == [83, 63, 64, 83]
