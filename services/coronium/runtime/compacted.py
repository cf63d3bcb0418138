"""Read a compacted topic: first everything there is, then what comes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from coronium.runtime import record_batches
from coronium.runtime.brokers import reader_options
from coronium.runtime.errors import StartError
from coronium.runtime.settings import KafkaSettings
from coronium.runtime.stage import Transient

log = logging.getLogger(__name__)

OnRecord = Callable[[int, bytes, bytes | None], None]


class CompactedTopicReader:
    """Follows partitions of a compacted topic without a consumer group.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    topic : str
        Full name.
    on_record : callable of (partition, key, value), optional
        Told of every record in order; value is None for a deleted key. Runs on the event loop.
    remember : bool
        Keep the newest value of each key in `values`. Off where the caller keeps something smaller.

    Attributes
    ----------
    values : dict of bytes to bytes
        Newest value of each key that was not deleted.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, on_record: OnRecord | None = None, *, remember: bool = True
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._on_record = on_record
        self._remember = remember
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[TopicPartition, int] = {}
        self._progress = asyncio.Condition()
        self.values: dict[bytes, bytes] = {}

    async def start(self, partitions: Iterable[int] | None = None) -> None:
        """Connect and begin at the beginning.

        Parameters
        ----------
        partitions : iterable of int, optional
            Which; default all.

        Raises
        ------
        StartError
            There is no such topic.
        aiokafka.errors.KafkaError
            The broker does not answer.
        """
        record_batches.install()
        self._consumer = AIOKafkaConsumer(**reader_options(self._kafka))
        await self._consumer.start()
        # Asked in this order, because a broker may create a topic it is asked for by its name.
        if self._topic not in await self._consumer.topics():
            raise StartError(f"the topic {self._topic} does not exist; create it with `coronium topics create`.")
        await self._consumer._client.add_topic(self._topic)
        known = self._consumer.partitions_for_topic(self._topic) or set()
        self.assign(known if partitions is None else partitions)
        self._task = asyncio.create_task(self._follow(), name=f"read {self._topic}")

    def assign(self, partitions: Iterable[int]) -> None:
        """Follow these partitions and no others: new ones from the beginning, those that stay from where they were.

        `values` of the others stay.
        """
        assert self._consumer is not None
        wanted = {TopicPartition(self._topic, partition) for partition in partitions}
        self._seen = {tp: self._seen.get(tp, 0) for tp in wanted}
        if wanted:
            self._consumer.assign(wanted)
            for tp, position in self._seen.items():
                if position:
                    self._consumer.seek(tp, position)
        else:
            self._consumer.unsubscribe()

    async def catch_up(self, seconds: float = 30.0) -> None:
        """Return when everything written before this call has been read.

        Raises
        ------
        Transient
            It takes longer than `seconds`, or the broker is away.
        """
        assert self._consumer is not None
        try:
            async with asyncio.timeout(seconds):
                wanted = list(self._seen)
                if not wanted:
                    return
                ends = await self._consumer.end_offsets(wanted)
                starts = await self._consumer.beginning_offsets(wanted)
                ends = {tp: end for tp, end in ends.items() if end > starts[tp]}
                async with self._progress:
                    await self._progress.wait_for(
                        lambda: all(self._seen.get(tp, end) >= end for tp, end in ends.items())
                    )
        except (TimeoutError, KafkaError) as error:
            raise Transient(f"{self._topic} cannot be read to its end: {error!r}") from error

    async def stop(self) -> None:
        """Let go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self) -> None:
        assert self._consumer is not None
        while True:
            try:
                if not self._seen:
                    await asyncio.sleep(0.1)
                    continue
                records = await self._consumer.getmany(timeout_ms=500)
                for batch in records.values():
                    for record in batch:
                        self._take(record.partition, record.key or b"", record.value)
                async with self._progress:
                    for tp in list(self._seen):
                        with contextlib.suppress(KafkaError, TimeoutError):
                            async with asyncio.timeout(5):
                                position = await self._consumer.position(tp)
                            if tp in self._seen:
                                self._seen[tp] = max(self._seen[tp], position)
                    self._progress.notify_all()
            except KafkaError as error:
                log.warning("reading a compacted topic failed", extra={"topic": self._topic, "error": repr(error)})
                await asyncio.sleep(1)

    def _take(self, partition: int, key: bytes, value: bytes | None) -> None:
        if isinstance(value, record_batches.Unreadable):
            log.warning("a record is passed over", extra={"topic": self._topic, "detail": value.detail})
            return
        if self._remember:
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
        if self._on_record is not None:
            self._on_record(partition, key, value)
