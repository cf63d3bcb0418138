"""The command line with arguments that no manual mentions, against real services."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from coronium.cli.main import main
from tests.fuzz import files, seeds
from tests.fuzz.mutators import FLOATS, INTEGERS, TEXTS, mutated_bytes
from tests.fuzz.target import PASSED, REFUSED, Target, joined, split

NOBODY = "127.0.0.1:9"
COMMANDS: dict[str, tuple[str, ...]] = {
    "results": (
        *("--target", "--instrument", "--name", "--observed-from", "--observed-until", "--log-t", "--log-n"),
        *("--superseded", "--limit", "--json"),
    ),
    "get": ("--arrays", "--json"),
    "watch": ("--target", "--since", "--count", "--json"),
    "publish": ("--instrument", "--target", "--plasma", "--json"),
    "fit": ("--plasma", "--engine", "--first", "--seed", "--json"),
    "instruments": ("--json",),
    "config": ("--json",),
    "serve": (),
    "frobnicate": ("--json",),
}
_WORDS = (
    *(
        "6:7",
        "7:6",
        "nan:1",
        ":",
        "2024-01-01",
        "0001-01-01",
        "9999-12-31T23:59:59",
        "isothermal",
        "nuts",
        "list",
        "show",
    ),
    *("missing.h5", "a" * 300 + ".csv", "/", "/dev/null", ".", "\udcff", "[/red]", "[bold", "fitting", "client", "-"),
    *("chandra-meg", "--help", "--", "-h", "%s", "$HOME"),
)


def targets(folder: Path, address: str) -> list[Target]:
    """Return all targets of this file.

    Parameters
    ----------
    folder : path
        For files that commands are given.
    address : str
        Of both gRPC services.
    """
    (folder / "good.csv").write_bytes(files.csv())
    (folder / "bad.csv").write_bytes(mutated_bytes(random.Random(1), files.csv(), []))
    (folder / "bad.h5").write_bytes(files.hdf5()[:500])
    known = [str(folder / name) for name in ("good.csv", "bad.csv", "bad.h5")]

    def draw(random: random.Random) -> bytes:
        command = random.choice(list(COMMANDS))
        words = [command]
        for _ in range(random.randrange(5)):
            if COMMANDS[command] and random.random() < 0.6:
                words.append(random.choice(COMMANDS[command]))
            else:
                words.append(_word(random, known))
        if random.random() < 0.1:
            random.shuffle(words)
        return joined([word.encode(errors="surrogateescape") for word in words])

    corpus = [
        joined([word.encode() for word in line.split()])
        for line in (
            "results --json",
            f"publish {known[0]} --instrument chandra-meg --json",
            f"fit {known[2]}",
            "watch --json",
            "instruments list",
            "config show fitting",
        )
    ]
    return [Target("commands", _running(address), draw, corpus, 120)]


def _word(random: random.Random, known: list[str]) -> str:
    result = seeds.posterior().result_id
    chosen = random.choice((*_WORDS, *known, result, result, *TEXTS, str(random.choice((*FLOATS, *INTEGERS)))))
    return chosen.replace("\x1f", "").replace("\0", "")


def _running(address: str) -> Callable[[bytes], str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CORONIUM_")}
    environment |= {
        "CORONIUM_CLIENT__RESULTS_ADDRESS": address,
        "CORONIUM_CLIENT__INGESTION_ADDRESS": address,
        "CORONIUM_CLIENT__TIMEOUT_SECONDS": "5",
        "COLUMNS": "120",
    }

    def run(data: bytes) -> str:
        words = [part.decode(errors="surrogateescape").replace("\0", "") for part in split(data)]
        if not _quick(words):
            return REFUSED
        out, said = _Terminal(), _Terminal()
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(sys, "argv", ["coronium", *words]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(said),
        ):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        if "Traceback" in said.getvalue() or code not in range(5):
            raise AssertionError(f"exit {code}: {said.getvalue()[-300:]}")
        if code and not (said.getvalue() + out.getvalue()).strip():
            raise AssertionError(f"exit {code} without a word")
        return REFUSED if code else PASSED

    return run


class _Terminal(io.TextIOWrapper):
    """A stream that refuses what a terminal in UTF-8 could not show, as the real ones do."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)

    def getvalue(self) -> str:
        return self.buffer.getvalue().decode(errors="replace")  # type: ignore[attr-defined]


def _quick(words: list[str]) -> bool:
    """Whether a command line asks for nothing that takes long by its nature: no fit, no endless watch, no service."""
    if not words or words[0] not in COMMANDS:
        return True
    if words[0] == "watch":
        words += ["--seconds", "0.05"]
    if words[0] == "serve":
        return not set(words) & {"ingestion", "extraction", "fitting", "results", "gateway"}
    return words[0] != "fit" or not any(word.endswith("good.csv") for word in words)
