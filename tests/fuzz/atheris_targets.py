"""Coverage-guided fuzzing of one target: inputs that reach new code are kept and mutated again.

`make fuzz` runs `python -m tests.fuzz.atheris_targets TARGET` for each target. libFuzzer ends the process at the
first finding and writes the input to a file, which the same command takes as its last argument.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["coronium"]):
    from tests.fuzz.catalogue import all_targets
    from tests.fuzz.fuzzer import WARM_SHARE, resident
    from tests.fuzz.guided import REPORT
    from tests.fuzz.target import REFUSED

LONGEST_INPUT = 8192
MEMORY_MIB = 2048
SECONDS = 10


def main() -> None:
    """Fuzz one target until the inputs are used up; does not return."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.atheris_targets", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(), help="Where inputs go that did what none may.")
    parser.add_argument("again", nargs="?", help="A file that an earlier run wrote: this input alone.")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with all_targets() as targets:
        target = next(target for target in targets if target.name == arguments.target)
        corpus = arguments.folder / f"{target.name}-corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(target.corpus):
            (corpus / f"{number}").write_bytes(data)
        told = {"inputs": 0, "refused": 0, "memory": [0, 0]}
        warm = max(1, int(WARM_SHARE * arguments.inputs))

        def run(data: bytes) -> None:
            told["refused"] += target.run(data) == REFUSED
            told["inputs"] += 1
            if told["inputs"] == warm:
                told["memory"][0] = resident()
            if told["inputs"] == arguments.inputs:
                told["memory"][1] = resident()
                print(REPORT + json.dumps(told), flush=True)

        options = [
            f"-runs={arguments.inputs}",
            f"-seed={arguments.seed}",
            f"-max_len={LONGEST_INPUT}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-timeout={SECONDS}",
            f"-artifact_prefix={arguments.folder}/",
        ]
        atheris.Setup([sys.argv[0], *options, arguments.again or str(corpus)], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
