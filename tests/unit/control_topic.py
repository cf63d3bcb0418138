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
        self.away = False
        self._delay = delay
        self._kept: dict[bytes | None, Outgoing] = {}
        self._unread: list[list[Outgoing]] = []

    def replica(self, name: str, stage: StageName = StageName.EXTRACTION) -> Control:
        """Return what one replica has of the topic."""
        control = Control(KAFKA, stage, name, self.produce)
        unread = list(self._kept.values())
        self._unread.append(unread)

        async def catch_up(seconds: float = 30.0) -> None:
            await asyncio.sleep(self._delay)
            while unread:
                record = unread.pop(0)
                control._on_record(0, record.key, record.value)

        control._reader.catch_up = catch_up  # type: ignore[method-assign]
        return control

    async def produce(self, records: Sequence[Outgoing]) -> None:
        """Append records. Raises `Transient`."""
        await asyncio.sleep(2 * self._delay)
        if self.away:
            raise Transient("no broker answers")
        # Compacted: who comes late reads the last of each key.
        self._kept |= {record.key: record for record in records}
        for unread in self._unread:
            unread += records
