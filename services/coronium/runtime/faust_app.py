"""The faust application of a stage: one agent that hands raw events to the loop, one producer, manual commits.

What faust 0.15 does by itself would lose records: an agent that raises has its event acknowledged, a stream
skips *and acknowledges* what arrives around a rebalance, and its commit looks only for gaps in what was
acknowledged. So its topics are declared without acknowledgements and nothing is ever committed but what
`StreamClient.commit` is told. What remains of faust is what it does well: membership, fetching on a thread of
its own (a long batch does not end the session), back-pressure, revocation hooks, and the producer.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import faust
from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2
from faust.exceptions import ConsumerNotStarted, ProducerSendError
from faust.types import TP

from coronium.contract.headers import Headers
from coronium.contract.limits import MAX_FETCH_BYTES, MAX_PRODUCE_BYTES
from coronium.contract.topics import TopicNames
from coronium.runtime import record_batches
from coronium.runtime.brokers import connection_options
from coronium.runtime.faust_transport import PatientTransport
from coronium.runtime.positions import Positions, Start, start
from coronium.runtime.settings import KafkaSettings, ServiceSettings
from coronium.runtime.stage import Incoming, Outgoing, Stage, Transient

NEVER = 1_000_000.0
"""Seconds; for faust's watchdogs, whose part our own deadlines play."""

PRODUCE_SECONDS = 20.0

METADATA_MILLISECONDS = 30_000

DOUBT_SECONDS = 10.0
"""How often at most the broker is asked whether one log has become shorter."""

log = logging.getLogger(__name__)


class _App(faust.App):
    def _create_directories(self) -> None:
        # Its tables would live there, in the working directory; a stage keeps nothing on disk.
        return

    def _new_transport(self) -> PatientTransport:
        return PatientTransport(self.conf.broker_consumer, self)


def create_app(stage: Stage[Any, Any], settings: ServiceSettings) -> faust.App:
    """Return the faust application of a stage; nothing is connected yet."""
    record_batches.install()
    kafka, loop = settings.kafka, settings.loop
    app = _App(
        kafka.topics.group(stage.name),
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(kafka),
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
        # A topic that was forbidden at a rebalance is seen to be there again after this time.
        consumer_metadata_max_age_ms=METADATA_MILLISECONDS,
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


def _credentials(kafka: KafkaSettings) -> Any:
    options, connection = connection_options(kafka), kafka.connection
    if connection.sasl:
        return faust.SASLCredentials(
            username=connection.username,
            password=connection.password,
            mechanism=connection.sasl_mechanism,
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(context=options["ssl_context"]) if connection.encrypted else None


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
        self._doubted: set[tuple[str, int]] = set()
        self._asked: dict[tuple[str, int], float] = {}

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

    @property
    def joined(self) -> bool:
        """Whether partitions are ours and no rebalance goes on."""
        return not self.app.rebalancing and bool(self.partitions())

    async def expect(self, stored: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], Start]:
        """Learn where each partition of ours goes on. Call after every rebalance, before `admit`.

        Parameters
        ----------
        stored : mapping of (topic, partition) to int
            Where the stage's own store stands, as `Stage.positions` answers.

        Returns
        -------
        dict of (topic, partition) to Start

        Raises
        ------
        Transient
            The broker does not answer.
        """
        thread = self._consumer._thread
        consumer = thread._ensure_consumer()
        try:
            committed = {
                TP(*tp): await thread.call_thread(consumer.committed, tp) for tp in self.app.consumer.assignment()
            }
            # One request for all: it waits behind a fetch of up to 1.5 s on the same connection.
            measured = [tp for tp in committed if tp in stored or tp in self._doubted]
            unsure = [tp for tp, offset in committed.items() if offset is None or tp in measured]
            earliest = await thread.earliest_offsets(*unsure) if unsure else {}
            ends = await thread.call_thread(consumer.end_offsets, measured) if measured else {}
        except KafkaError as error:
            raise Transient(f"the group's offsets cannot be read: {error!r}") from error
        starts: dict[tuple[str, int], Start] = {
            tp: start(offset, earliest.get(tp, 0), ends.get(tp, 0), stored.get(tp), tp in self._doubted)
            for tp, offset in committed.items()
        }
        self._positions = Positions({tp: begin.offset for tp, begin in starts.items()})
        return starts

    async def go_back(self, starts: Mapping[tuple[str, int], int]) -> bool:
        """Commit these offsets, which are behind the group's, and read from there; False where they have gone."""
        if not await self.commit(starts):
            return False
        for tp, offset in starts.items():
            self._positions.go_back(tp, offset)
            await self._read_again(TP(*tp))
        return True

    async def admit(self, incoming: Incoming) -> bool:
        """Whether this is the next record of its partition; see `Positions.take`."""
        tp = TP(incoming.topic, incoming.partition)
        verdict = self._positions.take(tp, incoming.offset)
        if verdict == "read again":
            await self._read_again(tp)
        return verdict == "take"

    def doubts(self) -> bool:
        """Whether a log seems to end before where we go on, or seemed to since `trust`. Call often.

        What was read last may be older than a change of the leader, so it is a doubt and no knowledge: `expect` asks
        the broker. A doubt stays, because a log that grows would hide it.
        """
        now, ends = time.monotonic(), self._ends()
        for tp, offset in self._positions.expected.items():
            if offset > ends.get(tp, offset) and now - self._asked.get(tp, -math.inf) > DOUBT_SECONDS:
                self._asked[tp] = now
                self._doubted.add(tp)
        return bool(self._doubted)

    def trust(self) -> None:
        """Let the doubts go: all that followed from them is done."""
        self._doubted.clear()

    async def insist(self) -> None:
        """Read again over gaps that were not confirmed for a while. Call now and then."""
        for tp in self._positions.overdue():
            await self._read_again(TP(*tp))

    async def rewind(self) -> None:
        """Read every partition again from where it should go on."""
        for tp in list(self._positions.expected):
            await self._read_again(TP(*tp))

    async def _read_again(self, tp: TP) -> None:
        offset = self._positions.expected.get(tp)
        if offset is None:
            return
        log.info("reading again", extra={"source": f"{tp.topic}/{tp.partition}/{offset}"})
        # Of a partition that has gone meanwhile nothing is read again: its next owner begins at the commit.
        with contextlib.suppress(IllegalStateError):
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
        """Commit the next offsets to read; False where the partitions have gone meanwhile.

        Raises
        ------
        Transient
            The broker does not permit it now.
        """
        thread = self._consumer._thread
        ours = self.app.consumer.assignment()
        wanted = {TopicPartition(*tp): offset for tp, offset in offsets.items() if TP(*tp) in ours}
        try:
            # Not faust's own way, which ends the application at any refusal.
            await thread.call_thread(thread._ensure_consumer().commit, wanted)
        except (CommitFailedError, IllegalStateError):
            # Refused by the group, or taken from us while the consumer's thread was asked.
            return False
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError) as error:
            raise Transient(f"the broker lets us not commit: {error!r}") from error
        return len(wanted) == len(offsets)

    def lag(self) -> dict[str, int]:
        """Return the records behind the end by topic suffix, over our partitions, as far as the fetcher knows."""
        lag: dict[str, int] = {}
        ends = self._ends()
        for (topic, partition), expected in list(self._positions.expected.items()):
            suffix = self.suffix(topic)
            lag[suffix] = lag.get(suffix, 0) + max(ends.get((topic, partition), 0) - expected, 0)
        return lag

    def _ends(self) -> dict[tuple[str, int], int]:
        """Return where the logs of our partitions ended when they were last read."""
        ends: dict[tuple[str, int], int] = {}
        for tp in list(self._positions.expected):
            # How aiokafka says that the partition has just gone, which its own thread knows before us.
            with contextlib.suppress(AssertionError):
                end = self.app.consumer.highwater(TP(*tp))
                if end is not None:
                    ends[tp] = end
        return ends


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
