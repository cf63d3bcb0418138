"""Faust applications written as its manual shows, to see what they commit when something goes wrong.

Arguments: broker address, group, topic, and which agent:

    raise         raises on every record
    take          takes up to ten records at once and raises
    hang          goes through records until one says ``hang``, which never ends
    concurrency   two of it at once: ``hang`` never ends, the other goes on
    manual        takes records without acknowledgement and acknowledges each by itself when it is done
"""

import asyncio
import sys
import tempfile

import faust


async def work(value: bytes) -> None:
    """Never end where the record says so."""
    if value == b"hang":
        await asyncio.Event().wait()


async def fail(stream: faust.StreamT[bytes]) -> None:
    """Raise on every record."""
    async for _ in stream:
        raise RuntimeError("the work failed")


async def take(stream: faust.StreamT[bytes]) -> None:
    """Raise on every batch."""
    async for _ in stream.take(10, within=0.5):
        raise RuntimeError("the work failed")


async def go_through(stream: faust.StreamT[bytes]) -> None:
    """Work on one record after the other."""
    async for value in stream:
        await work(value)


async def manual(stream: faust.StreamT[bytes]) -> None:
    """Acknowledge each record after its work."""
    async for event in stream.noack().events():
        await work(event.value)
        event.ack()


AGENTS = {"raise": fail, "take": take, "hang": go_through, "concurrency": go_through, "manual": manual}


async def main(address: str, group: str, topic: str, agent: str) -> None:
    """Run until killed."""
    app = faust.App(
        group,
        broker=f"kafka://{address}",
        broker_session_timeout=3.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.5,
        processing_guarantee="at_least_once",
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
    )
    source = app.topic(topic, value_type=bytes, value_serializer="raw")
    app.agent(source, concurrency=2 if agent == "concurrency" else 1)(AGENTS[agent])
    app.finalize()
    await app.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
