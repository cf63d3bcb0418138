"""The test stage as a program that a power cut ends at a chosen step of its first batch.

CRASH_AT names the step; the parent and its worker end there without another word.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

STEPS = ("before the mark", "before the work", "before producing", "half produced", "before the commit", "committed")


def die(*_: Any, **__: Any) -> None:
    """End as a power cut would."""
    os._exit(137)


def arm(step: str) -> None:
    """Make the process die at a step."""
    from coronium.runtime.attempts import Attempts
    from coronium.runtime.faust_app import StreamClient
    from coronium.runtime.settle import Settler

    produce: Callable[..., Any] = StreamClient.produce
    commit: Callable[..., Any] = StreamClient.commit

    async def half(client: StreamClient, records: Any) -> None:
        if any(headers is not None for _, headers in records):
            await produce(client, records[: len(records) // 2])
            die()
        await produce(client, records)

    async def commit_and_die(client: StreamClient, offsets: Any) -> None:
        assert await commit(client, offsets)
        die()

    places: dict[str, tuple[type, str, Callable[..., Any]]] = {
        "before the mark": (Attempts, "begin", die),
        "before the work": (Settler, "_work", die),
        "before producing": (Settler, "_conclude", die),
        "half produced": (StreamClient, "produce", half),
        "before the commit": (StreamClient, "commit", die),
        "committed": (StreamClient, "commit", commit_and_die),
    }
    owner, name, replacement = places[step]
    setattr(owner, name, replacement)


def main() -> int:
    """Run the stage until it dies."""
    from tests.stream import squares_service

    arm(os.environ["CRASH_AT"])
    return squares_service.main()


if __name__ == "__main__":
    sys.exit(main())
