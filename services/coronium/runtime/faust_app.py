"""The faust application of a stage: one agent that hands raw events to the loop, one producer, manual commits.

What faust 0.15 does by itself would lose records: an agent that raises has its event acknowledged, a stream
skips *and acknowledges* what arrives around a rebalance, and its commit looks only for gaps in what was
acknowledged. So its topics are declared without acknowledgements and nothing is ever committed but what
`StreamClient.commit` is told. What remains of faust is what it does well: membership, fetching on a thread of
its own (a long batch does not end the session), back-pressure, revocation hooks, and the producer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import faust
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from faust.exceptions import ConsumerNotStarted, ProducerSendError
from faust.types import TP

from coronium.contract.headers import Headers
from coronium.contract.limits import MAX_FETCH_BYTES, MAX_PRODUCE_BYTES
from coronium.contract.topics import TopicNames
from coronium.runtime import record_batches
from coronium.runtime.brokers import ssl_context
from coronium.runtime.positions import Positions
from coronium.runtime.settings import ServiceSettings
from coronium.runtime.stage import Incoming, Outgoing, Stage, Transient

NEVER = 1_000_000.0
"""Seconds; for faust's watchdogs, whose part our own deadlines play."""

PRODUCE_SECONDS = 20.0

log = logging.getLogger(__name__)


class _App(faust.App):
    def _create_directories(self) -> None:
        # Its tables would live there, in the working directory; a stage keeps nothing on disk.
        return


def create_app(stage: Stage[Any, Any], settings: ServiceSettings) -> faust.App:
    """Return the faust application of a stage; nothing is connected yet."""
    record_batches.install()
    kafka, loop = settings.kafka, settings.loop
    app = _App(
        kafka.topics.group(stage.name),
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        broker_client_id=f"{kafka.topics.group(stage.name)}-{settings.replica}",
        broker_session_timeout=kafka.session_seconds,
        broker_heartbeat_interval=kafka.heartbeat_seconds,
        broker_rebalance_timeout=loop.rebalance_seconds,
        # A member that joins waits for the others to finish their batches.
        broker_request_timeout=max(kafka.session_seconds, loop.rebalance_seconds) + 5.0,
        broker_max_poll_interval=NEVER,
        # A record may have 12 MiB: no more than a batch is fetched ahead of the one in hand.
        broker_max_poll_records=stage.batch_size,
        broker_commit_livelock_soft_timeout=NEVER,
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_max_request_size=MAX_PRODUCE_BYTES,
        producer_request_timeout=PRODUCE_SECONDS,
        processing_guarantee="at_least_once",
        stream_buffer_maxsize=1,
        stream_processing_timeout=NEVER,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        # No tables: with standbys, faust would use an assignor of its own, made for tables.
        table_standby_replicas=0,
        store="memory://",
        cache="memory://",
        datadir=None,
    )
    app.finalize()
    return app


def _credentials(settings: ServiceSettings) -> Any:
    kafka = settings.kafka
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=ssl_context(kafka) if kafka.security_protocol == "SASL_SSL" else None,
        )
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=ssl_context(kafka))
    return None


class StreamClient:
    """What the loop may do with the broker: see its records, produce, commit.

    Parameters
    ----------
    app : faust.App
        From `create_app`.
    stage : Stage
        Whose sources are consumed.
    topics : TopicNames
        Names under the prefix.
    """

    def __init__(self, app: faust.App, stage: Stage[Any, Any], topics: TopicNames) -> None:
        self.app = app
        self._names = topics
        self._sources = [topics.name(topic) for topic in stage.sources]
        self._positions = Positions()

    def subscribe(
        self,
        on_event: Callable[[Incoming, int], Awaitable[None]],
        on_revoked: Callable[[], Awaitable[None]],
    ) -> None:
        """Declare the agent. Call once, before the app starts.

        Parameters
        ----------
        on_event : async callable of (Incoming, generation)
            Called for each record, one at a time; blocking it holds back the fetching.
        on_revoked : async callable
            Called at every rebalance while the partitions are still ours; they go when it returns.
        """
        source = self.app.topic(
            *self._sources,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
            allow_empty=True,
        )

        async def hand_over(stream: Any) -> None:
            async for event in stream.events():
                message = event.message
                await on_event(_incoming(message), message.generation_id)

        async def revoked(*_: Any, **__: Any) -> None:
            self._positions = Positions()
            await on_revoked()

        # A full buffer holds the fetcher back by itself. Faust would also take the partition from those it
        # fetches, and where none is left sleep for a second.
        self._consumer.on_buffer_full = lambda tp: None
        self._hand_over = self.app.agent(source, concurrency=1, name="hand_over")(hand_over)
        self._revoked = revoked  # signals hold their receivers weakly
        self.app.on_partitions_revoked.connect(self._revoked)

    @property
    def _consumer(self) -> Any:
        # Its parts that say what is committed, and commit it, are private to faust's drivers.
        return self.app.consumer

    def suffix(self, topic: str) -> str:
        """Return the name of a topic without the prefix, as metrics know it."""
        return topic.removeprefix(f"{self._names.prefix}.")

    @property
    def generation(self) -> int:
        """Generation of the group this member last joined."""
        return self.app.consumer_generation_id

    def partitions(self) -> frozenset[tuple[str, int]]:
        """Return the (topic, partition) that are ours now; none before the group is joined."""
        try:
            return frozenset((tp.topic, tp.partition) for tp in self.app.consumer.assignment())
        except ConsumerNotStarted:
            return frozenset()

    async def expect(self) -> None:
        """Learn where each partition of ours goes on. Call after every rebalance, before `admit`."""
        thread = self._consumer._thread
        consumer = thread._ensure_consumer()
        try:
            committed = {
                TP(*tp): await thread.call_thread(consumer.committed, tp) for tp in self.app.consumer.assignment()
            }
            # One request for all: it waits behind a fetch of up to 1.5 s on the same connection.
            never = [tp for tp, offset in committed.items() if offset is None]
            earliest = await thread.earliest_offsets(*never) if never else {}
        except KafkaError as error:
            raise Transient(f"the group's offsets cannot be read: {error!r}") from error
        self._positions = Positions(
            {tp: earliest[tp] if offset is None else offset for tp, offset in committed.items()}
        )

    async def admit(self, incoming: Incoming) -> bool:
        """Whether this is the next record of its partition; see `Positions.take`."""
        tp = TP(incoming.topic, incoming.partition)
        verdict = self._positions.take(tp, incoming.offset)
        if verdict == "read again":
            await self._read_again(tp)
        return verdict == "take"

    async def insist(self) -> None:
        """Read again over gaps that were not confirmed for a while. Call now and then."""
        for tp in self._positions.overdue():
            await self._read_again(TP(*tp))

    async def rewind(self) -> None:
        """Read every partition again from where it should go on."""
        for tp in list(self._positions.expected):
            await self._read_again(TP(*tp))

    async def _read_again(self, tp: TP) -> None:
        offset = self._positions.expected[tp]
        log.info("reading again", extra={"source": f"{tp.topic}/{tp.partition}/{offset}"})
        await self.app.consumer.seek(tp, offset)

    async def produce(self, records: Sequence[tuple[Outgoing, Headers | None]]) -> None:
        """Produce and return when the broker has acknowledged all.

        Raises
        ------
        Transient
            Something was not acknowledged; all may be produced again.
        """
        try:
            pending = [await self._send(record, headers) for record, headers in records]
            if pending:
                await asyncio.gather(*pending)
        except MessageSizeTooLargeError:
            raise
        except (KafkaError, ProducerSendError) as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                raise error.__cause__ from None
            raise Transient(f"the broker did not acknowledge: {error!r}") from error

    async def _send(self, record: Outgoing, headers: Headers | None) -> Awaitable[Any]:
        producer: Any = self.app.producer
        topic = self._names.name(record.topic)
        partition = None
        if record.partition_key is not None:
            known = await producer._ensure_producer().partitions_for(topic)
            partition = (murmur2(record.partition_key) & 0x7FFFFFFF) % len(known)
        return await producer.send(
            topic, record.key, record.value, partition, None, headers.encode() if headers else {}
        )

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Commit the next offsets to read; False where the partitions have gone meanwhile."""
        return await self._consumer._commit({TP(*tp): offset for tp, offset in offsets.items()})

    def lag(self) -> dict[str, int]:
        """Return the records behind the end by topic suffix, over our partitions, as far as the fetcher knows."""
        lag: dict[str, int] = {}
        for (topic, partition), expected in list(self._positions.expected.items()):
            end = self.app.consumer.highwater(TP(topic, partition))
            suffix = self.suffix(topic)
            lag[suffix] = lag.get(suffix, 0) + max((end or 0) - expected, 0)
        return lag


def _incoming(message: Any) -> Incoming:
    headers = message.headers or {}
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Incoming(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key or b"",
        value=message.value or b"",
        headers={name: value or b"" for name, value in pairs},
        timestamp=message.timestamp or 0.0,
    )
