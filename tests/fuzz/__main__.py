"""Run the fuzzer: `python -m tests.fuzz --inputs 1000000`, or one input again: `--replay ingestion:1:4711`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.catalogue import all_targets
from tests.fuzz.fuzzer import Tally, fuzz, shares
from tests.fuzz.guided import guided
from tests.fuzz.report import page, table
from tests.fuzz.target import Target, seeded


def main() -> int:
    """Run and return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="Mutants, of all targets together.")
    parser.add_argument("--guided", type=int, default=0, help="Inputs that atheris chooses by what code they reach.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", help="These alone; may be given again.")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="The I-th of N parts, to share between processes.")
    parser.add_argument("--json", action="store_true", help="Write JSON for a machine instead of a table.")
    parser.add_argument("--table", type=Path, help="Write a page for docs/ here too.")
    parser.add_argument("--replay", metavar="TARGET:SEED:INDEX", help="One input, with its traceback.")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with all_targets() as targets:
        if arguments.replay:
            return _replay(targets, arguments.replay)
        chosen = [target for target in targets if not arguments.target or target.name in arguments.target]
        part, parts = map(int, arguments.part.split("/"))
        tallies: list[Tally] = []
        for target, inputs in list(shares(chosen, arguments.inputs))[part - 1 :: parts]:
            _add(tallies, fuzz(target, inputs, arguments.seed))
        if arguments.guided:
            for tally in guided(chosen, arguments.guided, arguments.seed):
                _add(tallies, tally)
    if arguments.json:
        json.dump([asdict(tally) for tally in tallies], sys.stdout, default=repr)
    else:
        print(table(tallies))
    if arguments.table:
        arguments.table.write_text(page(tallies, arguments.seed))
    return 1 if any(tally.findings for tally in tallies) else 0


def _add(tallies: list[Tally], tally: Tally) -> None:
    tallies.append(tally)
    print(f"{tally.target}: {tally.inputs} inputs in {tally.seconds:.0f} s", file=sys.stderr, flush=True)


def _replay(targets: list[Target], name: str) -> int:
    which, seed, index = name.split(":")
    target = next(target for target in targets if target.name == which)
    data = target.draw(seeded(which, int(seed), int(index)))
    print(f"{len(data)} bytes: {data[:500]!r}", flush=True)
    print(target.run(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
