"""Every fault of the drill: what is done, and how it is undone. Recovery is never helped by hand."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kafka import KafkaAdminClient

from coronium.contract.topics import SPECTRA, StageName
from tests.drills.fleet import STAGES
from tests.drills.ledger import Chunk
from tests.drills.postgresql import wait_until_it_answers
from tests.drills.world import DEADLINES, REPLICAS, World

WITH_WORKER = (StageName.EXTRACTION, StageName.FITTING)
SUCCESSION_SECONDS = 240.0
WORKER_SECONDS = 30.0
FULL_SECONDS = 6.0
SLOW_SECONDS = 8.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes
    ----------
    name : str
    strike : callable of (World, Chunk)
        Does it while the chunk is in flight, and undoes it where it does not undo itself: over when this returns.
    copies : int
        How often each spectrum of its chunk is published.
    """

    name: str
    strike: Callable[[World, Chunk], None]
    copies: int = 1


def _signal(stage: StageName, what: signal.Signals, world: World, chunk: Chunk) -> None:
    world.fleet.any(stage).send(what)


def _kill_worker(stage: StageName, world: World, chunk: Chunk) -> None:
    until = time.monotonic() + WORKER_SECONDS
    while (worker := world.fleet.any(stage).worker()) is None:
        assert time.monotonic() < until, f"no replica of {stage.value} has a worker"
        time.sleep(0.1)
    worker.kill()


def _freeze(stage: StageName, world: World, chunk: Chunk) -> None:
    """Stop a replica beyond the rebalance timeout and until its successor has finished, then let it go on."""
    replica = world.fleet.any(stage)
    replica.send(signal.SIGSTOP)
    until = time.monotonic() + float(DEADLINES["REBALANCE_SECONDS"]) + 1.0
    succeeded = world.wait_for(chunk, SUCCESSION_SECONDS)
    time.sleep(max(0.0, until - time.monotonic()))
    replica.send(signal.SIGCONT)
    assert succeeded, f"nobody did the work of {replica.name}"


def _restart_broker(world: World, chunk: Chunk) -> None:
    node = world.chance.choice(list(world.cluster.nodes))
    world.cluster.end(node, signal.SIGTERM)
    world.cluster.start_node(node)


def _kill_leader(world: World, chunk: Chunk) -> None:
    admin = KafkaAdminClient(bootstrap_servers=world.cluster.addresses)
    (topic,) = admin.describe_topics([world.kafka.topics.name(SPECTRA)])
    admin.close()
    node = world.chance.choice([partition["leader_id"] for partition in topic["partitions"]])
    world.cluster.end(node, signal.SIGKILL)
    time.sleep(3)
    world.cluster.start_node(node)


def _add_replica(world: World, chunk: Chunk) -> None:
    world.fleet.add(world.chance.choice(STAGES))


def _remove_replica(world: World, chunk: Chunk) -> None:
    most = max(STAGES, key=lambda stage: len(world.fleet.of(stage)))
    world.fleet.remove(world.fleet.any(most))
    if len(world.fleet.of(most)) < REPLICAS:
        world.wait_for(chunk, SUCCESSION_SECONDS)
        world.fleet.add(most)


def _restart_database(world: World, chunk: Chunk) -> None:
    world.database.restart(world.chance.choice(["fast", "immediate"]))


def _fill_disk(world: World, chunk: Chunk) -> None:
    world.database.fill()
    time.sleep(FULL_SECONDS)
    world.database.make_room()
    # A server that could not write its log ends itself; an orchestrator starts it again.
    world.database.start_again()
    wait_until_it_answers(world.database.url)


def _slow_down(world: World, chunk: Chunk) -> None:
    """Let fitting work a fifth of the time."""
    until = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < until:
        for what, seconds in ((signal.SIGSTOP, 0.8), (signal.SIGCONT, 0.2)):
            for replica in world.fleet.of(StageName.FITTING):
                replica.send(what)
            time.sleep(seconds)


def _nothing(world: World, chunk: Chunk) -> None:
    return


def all_faults(*, disk_can_be_full: bool) -> list[Fault]:
    """Return every kind of fault.

    Parameters
    ----------
    disk_can_be_full : bool
        Whether the database has a file system of its own.
    """
    faults = [
        *(Fault(f"SIGKILL of {s.value}", partial(_signal, s, signal.SIGKILL)) for s in STAGES),
        *(Fault(f"SIGKILL of {s.value}'s worker", partial(_kill_worker, s)) for s in WITH_WORKER),
        *(Fault(f"SIGTERM of {s.value}", partial(_signal, s, signal.SIGTERM)) for s in STAGES),
        *(Fault(f"SIGSTOP of {s.value} until its successor has committed", partial(_freeze, s)) for s in STAGES),
        Fault("restart of a broker", _restart_broker),
        Fault("SIGKILL of a leader among the brokers", _kill_leader),
        Fault("a replica more", _add_replica),
        Fault("a replica less", _remove_replica),
        Fault("restart of the database", _restart_database),
        Fault("slow fitting", _slow_down),
        Fault("everything published three times, in any order", _nothing, copies=3),
    ]
    return [*faults, Fault("full disk at the database", _fill_disk)] if disk_can_be_full else faults
