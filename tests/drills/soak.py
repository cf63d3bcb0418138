"""`make soak`: hold the stream at four fifths of what it can do, and see whether anything grows."""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from coronium.contract.topics import StageName
from coronium.operations.lag import group_lags
from coronium.results.models import Result, ResultEpoch
from tests.drills.soak_report import draw, page
from tests.drills.world import World

SHARE = 0.8
BURST = 120
"""Spectra that tell the capacity."""
SAMPLE_SECONDS = 10.0


@dataclass
class Sample:
    """The state of the stream at one moment; by process where it is a mapping.

    Attributes
    ----------
    seconds : float
        Since the soak began.
    resident, descriptors, threads : mapping of str to number
        MiB, and counts.
    cpu : mapping of str to float
        Seconds of processor time used so far.
    lag : int
        Records that a stage has not finished, all stages together.
    """

    seconds: float
    lag: int
    resident: dict[str, float] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Soak:
    """What a soak measured.

    Attributes
    ----------
    capacity, rate : float
        Spectra per second: of a burst, and as published.
    samples : list of Sample
    published : (N,) seconds since the beginning of each spectrum
    age : (N,) seconds from publication to the stored result
    cores : int
    """

    capacity: float
    rate: float
    samples: list[Sample]
    published: np.ndarray
    age: np.ndarray
    cores: int


def processes(world: World) -> Mapping[str, psutil.Process]:
    """Return every process of the stream by its name."""
    found = {}
    for stage in StageName:
        for replica in world.fleet.of(stage):
            found[stage.value] = psutil.Process(replica.pid)
            worker = replica.worker()
            if worker is not None:
                found[f"{stage.value}'s worker"] = worker
    for node in world.cluster.nodes:
        found["broker" if len(world.cluster.nodes) == 1 else f"broker {node}"] = psutil.Process(world.cluster.pid(node))
    return found


def sample(world: World, began: float) -> Sample:
    """Look at every process once."""
    taken = Sample(time.monotonic() - began, sum(lag.behind for lag in group_lags(world.kafka)))
    for name, process in processes(world).items():
        with process.oneshot():
            taken.resident[name] = process.memory_info().rss / 1024**2
            taken.descriptors[name] = process.num_fds()
            taken.threads[name] = process.num_threads()
            times = process.cpu_times()
            taken.cpu[name] = times.user + times.system
    database = [psutil.Process(world.database.pid)]
    database += database[0].children()
    used = [times for p in database if (times := _times(p)) is not None]
    # Those of its ended children too: a connection is a process.
    taken.cpu["database"] = sum(t.user + t.system for t in used) + sum(_times(database[0])[2:4])
    taken.resident["database"] = sum(p.memory_info().rss for p in database if p.is_running()) / 1024**2
    return taken


def _times(process: psutil.Process):
    try:
        return process.cpu_times()
    except psutil.NoSuchProcess:
        return None


def soak(world: World, minutes: float, console: Console) -> Soak:
    """Measure the capacity with a burst, then publish evenly at `SHARE` of it.

    Raises
    ------
    AssertionError
        A spectrum was lost.
    """
    # The first spectra compile what the others use.
    assert world.wait_for(world.publish(8, bad=0), 600)
    began = time.monotonic()
    assert world.wait_for(world.publish(BURST, bad=0), 1200)
    capacity = BURST / (time.monotonic() - began)
    rate = SHARE * capacity
    console.print(f"capacity {capacity:.2f} spectra/s; {minutes:g} minutes at {rate:.2f}")
    times: dict[str, float] = {}
    began, samples, clock = time.monotonic(), [], time.time()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            samples.append(sample(world, began))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    chance = random.Random(1)
    due = began
    chunks = []
    while (now := time.monotonic()) < began + 60 * minutes:
        if now < due:
            time.sleep(min(due - now, 0.5))
            continue
        due += chance.expovariate(rate)
        if world.database.can_be_full:
            world.database.make_room()
        chunks.append(world.publish(1, bad=0))
        (one,) = chunks[-1].fingerprints
        times[one] = time.time()
    for chunk in chunks[-BURST:]:
        assert world.wait_for(chunk, 600)
    stop.set()
    watcher.join()
    found = world.account(world.published, checksums=True)
    assert found is not None
    assert found.whole, "something was lost"
    with Session(world.engine) as session:
        rows = session.execute(
            select(ResultEpoch.fingerprint, Result.stored_at).join(Result, Result.result_id == ResultEpoch.result_id)
        )
        stored = {name: moment.timestamp() for name, moment in rows}
    names = sorted(times, key=times.__getitem__)
    published = np.array([times[name] for name in names])
    age = np.array([stored[name] for name in names]) - published
    return Soak(capacity, rate, samples, published - clock, age, psutil.cpu_count() or 1)


def main() -> int:
    """Run and write the table and the picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rung", default="nuts", help="how far fitting goes: network, mode or nuts")
    parser.add_argument("--table", type=Path, default=Path("drill-output/soak.md"))
    parser.add_argument("--picture", type=Path, default=Path("drill-output/soak.png"))
    arguments = parser.parse_args()
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="coronium-soak-"))
    console.print(f"logs in {folder}")
    with World(folder, random.Random(1), arguments.rung, brokers=1, replicas=1) as world:
        found = soak(world, arguments.minutes, console)
    for file in (arguments.table, arguments.picture):
        file.parent.mkdir(parents=True, exist_ok=True)
    arguments.table.write_text(page(found, arguments.minutes, arguments.rung))
    draw(found, arguments.picture)
    console.print(f"{arguments.table} and {arguments.picture} are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
