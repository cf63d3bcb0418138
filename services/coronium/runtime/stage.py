"""What a stage of the stream is: four questions that the loop in `loop.py` asks.

A stage holds no Kafka, no offsets and no retries. It decodes a record, works on a batch, and says what
follows from each result; the loop does the rest once for all stages: it batches, runs the work in a spawned
worker process, checks that the partitions are still ours, produces, awaits the acknowledgement and commits;
it retries what is transient and sets aside what is bad.

    decode -> batch -> work -> encode -> (produce, acknowledge, commit) -> observe

Because delivery is at-least-once, every method may be called again for the same record, in this process or in
another; nothing may depend on being called once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from coronium.contract.headers import Headers
from coronium.contract.topics import StageName, Topic
from coronium.v1.dead_letter_pb2 import DeadLetterReason

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Incoming:
    """One record as it came from the broker.

    Parameters
    ----------
    topic : str
        Full name of the topic.
    partition, offset : int
        Where the record stands in it.
    key, value : bytes
        As produced; empty where the record has none.
    headers : mapping of str to bytes
        As produced; `trace` is their reading.
    timestamp : float
        The record's own time in seconds since 1970 UTC.
    trace : Headers
        The headers, read by the loop before `Stage.decode` is called. A record of an unknown schema never
        reaches a stage.
    """

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    timestamp: float
    trace: Headers = field(default_factory=Headers.new)


@dataclass(frozen=True)
class Outgoing:
    """One record to produce. The loop adds the headers.

    Parameters
    ----------
    topic : Topic
        Where to; the loop knows the prefix.
    key : bytes
        Key of the record: the target, unless the topic's declaration says otherwise.
    value : bytes or None
        One serialised protobuf message; None deletes the key from a compacted topic.
    partition_key : bytes or None
        What chooses the partition where that is not the key itself (epochs: the target).
    """

    topic: Topic
    key: bytes
    value: bytes | None
    partition_key: bytes | None = None


class Rejected(Exception):
    """Bad input: this record goes to the dead letters and the stream goes on. Counted, never retried.

    Parameters
    ----------
    reason : DeadLetterReason
        The class of the fault.
    detail : str
        One sentence a person can act on.
    """

    def __init__(self, reason: "DeadLetterReason", detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Transient(Exception):
    """Something we depend on is away for now: the batch is retried in place with back-off, for ever."""


class WentBack(Exception):
    """What the stage has stored is less than it knew: its database was restored under it.

    Nothing of the batch was done; it is given up, and `Stage.positions` asked again.
    """


class Worker(Protocol):
    """What lives in the spawned process of a stage whose `Stage.worker` names a factory.

    The factory is called in the new process with the stage's `worker_settings`. Its exceptions, and those of
    `warm`, mean that the model cannot be loaded: at the start the service ends with that sentence (a
    `StartError`'s as it stands, any other's after its type), on a reload the old worker stays.
    """

    def warm(self) -> str:
        """Load and compile everything, so that the first batch takes no longer than the others.

        Called once, before the first `work`, in the worker process.

        Returns
        -------
        str
            Hash of the model that will be used, or an empty string where there is none.
        """
        ...

    def work(self, jobs: list[Any]) -> list[Any]:
        """Work on one batch.

        Called in the worker process, one call at a time. The process is killed when the call passes the batch
        deadline or when its memory passes the limit.

        Returns
        -------
        list
            As long as `jobs` and in their order: a result or a `Rejected` for each.

        Raises
        ------
        Transient
            Nothing of the batch was done; try again later.
        """
        ...


class Stage(ABC, Generic[Job, Result]):
    """A stage of the stream.

    Attributes
    ----------
    name : StageName
        Names the consumer group, the dead letters, the settings and the metrics.
    sources : tuple of Topic
        What the stage consumes.
    products : tuple of Topic
        What `encode` may produce for, beside what the loop itself writes: who runs the stage must be allowed to.
    memory : tuple of Topic
        Compacted topics that the stage reads by itself, for `assigned`.
    worker : str or None
        ``"package.module:factory"`` of the `Worker`, or None where `work` runs in the parent process.
    batch_size : int
        Most records of one batch.
    batch_seconds : float
        Longest wait for a batch to fill after its first record came.
    """

    name: ClassVar[StageName]
    sources: ClassVar[tuple[Topic, ...]]
    products: ClassVar[tuple[Topic, ...]]
    memory: ClassVar[tuple[Topic, ...]] = ()
    worker: ClassVar[str | None] = None
    batch_size: int = 1
    batch_seconds: float = 0.1

    @property
    def worker_settings(self) -> dict[str, Any]:
        """What the worker's factory is called with; must survive pickling. Read before each start."""
        return {}

    async def start(self) -> None:
        """Make ready what the stage needs in the parent process.

        Called once, on the event loop that will call everything else, before the first record is fetched.

        Raises
        ------
        coronium.runtime.errors.StartError
            Something is missing; the service ends with that one sentence.
        """
        return

    async def stop(self) -> None:
        """Let go of what `start` made. Called once, after the last commit, also when the start failed."""
        return

    async def assigned(self, partitions: frozenset[tuple[str, int]]) -> None:
        """Load what must be known before records of these partitions are worked on.

        Called after every rebalance with all partitions that are ours now, before any record of them reaches
        `decode`. No batch is in flight.

        Raises
        ------
        Transient
            Tried again with back-off.
        """
        return

    def digests(self) -> dict[int, str]:
        """Return a digest of what the stage remembers of each of its partitions, by number.

        Told to operators with the state of the replica, so that replicas can be compared. Called often; must be
        cheap or kept.
        """
        return {}

    async def positions(self, partitions: frozenset[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """Say where partitions go on where the stage itself knows better than the group's commits.

        For a stage whose results live in a store of its own, which may be restored from a backup or made anew
        while the group's commits stay. Where an answer is before the commit, the group goes back to it and the
        records are worked on again; an answer ahead of the commit is passed over. Called after every
        rebalance, before `assigned`, and again after `WentBack`.

        Returns
        -------
        mapping of (topic, partition) to int
            The offset after the last record whose results are stored, 0 for none; partitions that are left out
            go on from the commit.

        Raises
        ------
        Transient
            Tried again with back-off.
        """
        return {}

    @abstractmethod
    def decode(self, incoming: Incoming) -> Job:
        """Turn one record into a job.

        Called in the parent process for each record, in the order of its partition. Must be cheap: heavy work
        belongs to the worker. The job must survive pickling where there is a worker.

        Raises
        ------
        Rejected
            The record is bad.
        """

    async def work(self, jobs: list[Job]) -> "list[Result | Rejected]":
        """Work on one batch in the parent process; only called where `worker` is None.

        Returns
        -------
        list
            As long as `jobs` and in their order: a result or a `Rejected` for each.

        Raises
        ------
        Transient
            Tried again with back-off; what was done already must not hurt when it is done again.
        WentBack
            Nothing was done: records before these must be worked on again first.
        """
        raise NotImplementedError(f"{self.name} has no worker process and must define work()")

    @abstractmethod
    def encode(self, incoming: Incoming, job: Job, result: Result) -> Sequence[Outgoing]:
        """Say what to produce for one result; may be nothing.

        Called in the parent process after the work. What is returned is produced and acknowledged before the
        record's offset is committed. A record with a replay id is encoded as any other.
        """

    async def committing(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Note positions that are about to be committed.

        Called before each commit, when everything before these offsets is done, acknowledged or set aside. For a
        stage that answers `positions`: its work never saw the records that were set aside.

        Raises
        ------
        Transient, WentBack
            As `work` does.
        """
        return

    def committed(self, incoming: Incoming, job: Job, result: Result) -> None:
        """Remember that this record is done.

        Called in the parent process after its offset was committed, for economies such as a cache of
        duplicates. Must not raise and must not be relied upon.
        """
        return

    def observe(self, result: Result) -> None:
        """Record the measurements that came with a result in the metrics of this process.

        Called in the parent process, once for each result, after it was acknowledged by the broker. Must not
        raise.
        """
        return
