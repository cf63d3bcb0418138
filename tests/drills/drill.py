"""Do every fault some times while spectra are on their way, and account for every spectrum after each."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from coronium.evaluation.provenance import commit
from tests.drills.faults import Fault, all_faults
from tests.drills.world import World

RECOVERY_SECONDS = 240.0
LATEST_STRIKE = 2.5
"""Seconds after the first half of a chunk within which the second is published and the fault strikes."""


@dataclass(frozen=True)
class Strike:
    """One fault, and what came of it.

    Attributes
    ----------
    fault : str
    rung : str
        How far fitting went.
    published : int
        Good spectra and bad records of its chunk.
    in_flight : int
        Of them without an outcome when the fault struck.
    lost, doubled, wrong, set_aside : int
        Of the good spectra and the bad records; set_aside: good spectra that became dead letters.
    fault_seconds : float
        How long the fault lasted.
    recovery_seconds : float
        From the beginning of the fault to the last outcome.
    commit : str
        Of the software.
    """

    fault: str
    rung: str
    published: int
    in_flight: int
    lost: int
    doubled: int
    wrong: int
    set_aside: int
    fault_seconds: float
    recovery_seconds: float
    commit: str

    @property
    def whole(self) -> bool:
        """Whether every record has its one outcome."""
        return not (self.lost or self.doubled or self.wrong)


def strike(world: World, fault: Fault, good: int, rung: str) -> Strike:
    """Publish a chunk, do the fault while it is in flight, and account for it."""
    if world.database.can_be_full:
        world.database.make_room()
    # A quiet moment ends a chunk within seconds: the later half is there to be met by the fault in any case, the
    # earlier one so that later stages hold something too.
    chunk = world.publish(good // 2, bad=1, copies=fault.copies)
    time.sleep(world.chance.uniform(0.0, LATEST_STRIKE))
    chunk |= world.publish(good - good // 2, bad=0, copies=fault.copies)
    in_flight = world.in_flight(chunk)
    began = time.monotonic()
    fault.strike(world, chunk)
    over = time.monotonic()
    world.wait_for(chunk, RECOVERY_SECONDS)
    recovered = time.monotonic()
    # What was away may still believe that it has work: it must not do harm when it notices.
    world.wait_until_settled(RECOVERY_SECONDS)
    found = world.account(chunk, checksums=True)
    assert found is not None, "the database is away"
    return Strike(
        fault=fault.name,
        rung=rung,
        published=len(chunk),
        in_flight=in_flight,
        lost=len(found.lost),
        doubled=len(found.doubled),
        wrong=len(found.wrong) + len(world.strangers()),
        set_aside=found.set_aside,
        fault_seconds=round(over - began, 1),
        recovery_seconds=round(recovered - began, 1),
        commit=commit(),
    )


def plan(faults: list[Fault], each: int, spectra: int, chance: random.Random) -> list[tuple[Fault, int]]:
    """Return every fault `each` times in any order, with the number of good spectra that meet it."""
    order = [fault for fault in faults for _ in range(each)]
    chance.shuffle(order)
    share, rest = divmod(spectra, len(order))
    return [(fault, share + (number < rest)) for number, fault in enumerate(order)]


def read(file: Path) -> list[Strike]:
    """Return the strikes that a file holds, without a last line that was cut off."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            found.append(Strike(**json.loads(line)))
        except json.JSONDecodeError:
            break
    return found


def drill(
    folder: Path, file: Path, spectra: int, each: int, rung: str = "network", seed: int = 1, only: str = ""
) -> Iterator[Strike]:
    """Do what is left of a drill; yield each strike when it is in the file.

    Parameters
    ----------
    folder : pathlib.Path
        Of data and logs; a new one for every call.
    file : pathlib.Path
        JSON lines. What stands there was done already.
    spectra : int
        Good spectra in all.
    each : int
        Times that each fault is done.
    rung : str
        How far fitting goes.
    only : str
        Part of the names of the faults that are done; all where empty.
    """
    done = [s for s in read(file) if s.rung == rung]
    file.parent.mkdir(parents=True, exist_ok=True)
    with World(folder, random.Random(f"{seed} {len(done)}"), rung) as world:
        faults = [f for f in all_faults(disk_can_be_full=world.database.can_be_full) if only in f.name]
        left = plan(faults, each, spectra, random.Random(seed))[len(done) :]
        for fault, good in left:
            found = strike(world, fault, good, rung)
            with file.open("a") as out:
                out.write(json.dumps(asdict(found)) + "\n")
            yield found
        whole = world.account(world.published, checksums=True)
        assert whole is not None, "the database is away"
        assert whole.whole, f"{len(whole.lost)} lost, {len(whole.doubled)} doubled, {whole.wrong[:3]}"
        assert world.strangers() == set(), "there are results or dead letters of what nobody published"
