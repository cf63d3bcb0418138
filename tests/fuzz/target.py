"""What is fuzzed: something that takes bytes and may do two things with them, use them or refuse them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PASSED, REFUSED = "passed", "refused"


@dataclass(frozen=True)
class Target:
    """A decoder, a reader or a door of the system.

    Parameters
    ----------
    name : str
    run : callable of bytes
        Returns `PASSED` or `REFUSED`. Whatever it raises is a finding: it has turned the documented refusals of what
        it drives into `REFUSED` itself.
    draw : callable of random.Random
        Makes an input; the same random numbers make the same bytes.
    corpus : sequence of bytes
        Valid inputs, from which a coverage-guided fuzzer begins.
    weight : int
        Inputs of this target in a hundred thousand of all, in proportion to the other targets' weights: cheap ones
        get many.
    seconds : float
        An input that takes longer is a finding, however busy the machine is: most take less than a millisecond.
    """

    name: str
    run: Callable[[bytes], str]
    draw: Callable[[random.Random], bytes]
    corpus: Sequence[bytes]
    weight: int
    seconds: float = 10.0


def seeded(target: str, seed: int, index: int) -> random.Random:
    """Return the random numbers of one input: whoever knows these three has it again."""
    return random.Random(f"{target}/{seed}/{index}")


def joined(parts: Sequence[bytes]) -> bytes:
    """Return several texts as one input."""
    return b"\x1f".join(parts)


def split(data: bytes) -> list[bytes]:
    """Undo `joined`."""
    return data.split(b"\x1f")
