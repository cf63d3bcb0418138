"""The control topic of a stage in memory, with as many replicas as a test wants."""

import asyncio
from collections.abc import Sequence

from coronium.contract.topics import StageName
from coronium.runtime.control import Control
from coronium.runtime.settings import KafkaSettings
from coronium.runtime.stage import Outgoing, Transient

KAFKA = KafkaSettings(bootstrap_servers="nowhere:1")


class ControlTopic:
    """The control topic, its writers and its readers.

    Parameters
    ----------
    delay : float
        Seconds that the network takes.

    Attributes
    ----------
    away : bool
        Whether the broker does not answer.
    """

    def __init__(self, delay: float = 0.001) -> None:
        self.records: list[Outgoing] = []
        self.away = False
        self._delay = delay

    def replica(self, name: str, stage: StageName = StageName.EXTRACTION) -> Control:
        """Return what one replica has of the topic."""
        control = Control(KAFKA, stage, name, self.produce)
        read = 0

        async def catch_up(seconds: float = 30.0) -> None:
            nonlocal read
            await asyncio.sleep(self._delay)
            while read < len(self.records):
                read += 1
                control._on_record(0, self.records[read - 1].key, self.records[read - 1].value)

        control._reader.catch_up = catch_up  # type: ignore[method-assign]
        return control

    async def produce(self, records: Sequence[Outgoing]) -> None:
        """Append records. Raises `Transient`."""
        await asyncio.sleep(2 * self._delay)
        if self.away:
            raise Transient("no broker answers")
        self.records += records
