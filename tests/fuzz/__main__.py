"""Run the fuzzer: `python -m tests.fuzz --inputs 1000000`, or one input again: `--replay ingestion:1:4711`."""

from __future__ import annotations

import argparse
import logging
import sys

from tests.fuzz.catalogue import all_targets
from tests.fuzz.fuzzer import fuzz, shares, table
from tests.fuzz.target import seeded


def main() -> int:
    """Run and return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="Of all targets together.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", help="These alone; may be given again.")
    parser.add_argument("--replay", metavar="TARGET:SEED:INDEX", help="One input, with its traceback.")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with all_targets() as targets:
        if arguments.replay:
            name, seed, index = arguments.replay.split(":")
            target = next(target for target in targets if target.name == name)
            data = target.draw(seeded(name, int(seed), int(index)))
            print(f"{len(data)} bytes: {data[:500]!r}", flush=True)
            print(target.run(data))
            return 0
        chosen = [target for target in targets if not arguments.target or target.name in arguments.target]
        tallies = []
        for target, inputs in shares(chosen, arguments.inputs):
            tallies.append(fuzz(target, inputs, arguments.seed))
            print(f"{target.name}: {inputs} inputs in {tallies[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    print(table(tallies))
    return 1 if any(tally.findings for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
