"""The drill's table."""

import platform
from statistics import median

import psutil

from tests.drills.drill import Strike
from tests.drills.world import BROKERS, INSTRUMENT, PARTITIONS, REPLICAS

_HEAD = (
    "| fault | times | in flight | lost | doubled | set aside | the fault lasts | recovery, median | worst |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def page(strikes: list[Strike]) -> str:
    """Return the page of the drill, in Markdown."""
    parts = [
        "# The drill: every fault while spectra are on their way",
        "",
        f"Written by `make drill` on {psutil.cpu_count()} cores of "
        f"{platform.machine()}: "
        f"{BROKERS} brokers (replication 3, two in sync at least), PostgreSQL, {REPLICAS} replicas of each stage, "
        f"{PARTITIONS} partitions, simulated {INSTRUMENT} spectra of S/N 1 to 10. After each fault every spectrum of "
        "its chunk was looked up in the store, with the fingerprint recomputed from the stored observation and the id "
        "from the stored result; at the end all were looked up once more. *In flight*: published and without an "
        "outcome when the fault struck, median. *Recovery*: from the beginning of the fault to the last outcome, so it "
        "holds the fault itself and the ordinary work on the chunk too. *Set aside*: good spectra that became dead "
        "letters.",
    ]
    for rung, title in (("network", "With the network's word as the result"), ("nuts", "With the full fit")):
        own = [strike for strike in strikes if strike.rung == rung]
        if own:
            commits = dict.fromkeys(strike.commit for strike in own)
            parts += ["", f"## {title}", "", f"At commit {', '.join(commits)}.", "", *_table(own)]
    return "\n".join(parts) + "\n"


def _table(strikes: list[Strike]) -> list[str]:
    names = sorted({strike.fault for strike in strikes})
    rows = [_row(name, [strike for strike in strikes if strike.fault == name]) for name in names]
    return [_HEAD, *rows, _row("**all**", strikes)]


def _row(name: str, strikes: list[Strike]) -> str:
    seconds = [strike.recovery_seconds for strike in strikes]
    cells = [
        name,
        len(strikes),
        round(median(strike.in_flight for strike in strikes)),
        sum(strike.lost for strike in strikes),
        sum(strike.doubled + strike.wrong for strike in strikes),
        sum(strike.set_aside for strike in strikes),
        f"{median(strike.fault_seconds for strike in strikes):.1f} s",
        f"{median(seconds):.1f} s",
        f"{max(seconds):.1f} s",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"
