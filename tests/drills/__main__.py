"""`make drill`: every fault, many times, with an account of every spectrum; writes a table."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.drills.drill import Strike, drill, read
from tests.drills.report import page


def main() -> int:
    """Run what is left of the drill and write the table; 1 where anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("--spectra", type=int, default=5000, help="good spectra with the network's word (5000)")
    parser.add_argument("--fitted", type=int, default=300, help="good spectra with the full fit (300)")
    parser.add_argument("--each", type=int, default=5, help="times that each fault is done (5)")
    parser.add_argument("--output", type=Path, default=Path("drill-output"), help="folder of strikes, logs, data")
    parser.add_argument("--table", type=Path, help="where the table goes; default OUTPUT/drill.md")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the names of the faults to do")
    arguments = parser.parse_args()
    if not os.environ.get("KAFKA_HOME"):
        print("set KAFKA_HOME to an Apache Kafka 4 distribution", file=sys.stderr)
        return 2
    file = arguments.output / "strikes.jsonl"
    console, began = Console(), time.monotonic()
    parts = [("network", arguments.spectra, arguments.each), ("nuts", arguments.fitted, 1)]
    for rung, spectra, each in parts:
        if spectra == 0:
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"coronium-drill-{rung}-"))
        console.print(f"{rung}: {spectra} spectra, each fault {each} times; logs in {folder}")
        for strike in drill(folder, file, spectra, each, rung, arguments.seed, arguments.only):
            console.print(_line(strike, time.monotonic() - began), highlight=False)
    strikes = read(file)
    table = arguments.table or arguments.output / "drill.md"
    table.write_text(page(strikes))
    console.print(f"{table} is written")
    return 0 if all(strike.whole for strike in strikes) else 1


def _line(strike: Strike, seconds: float) -> str:
    verdict = "[green]whole[/]" if strike.whole else f"[red]{strike.lost} lost, {strike.doubled} doubled[/]"
    return f"{seconds:6.0f} s  {strike.fault}: {strike.in_flight} in flight, {strike.recovery_seconds:.1f} s, {verdict}"


if __name__ == "__main__":
    sys.exit(main())
