"""A faust application written as its manual shows, to see what it commits when its agent raises.

Arguments: broker address, group, topic. The agent raises on every record.
"""

import asyncio
import sys

import faust


async def main(address: str, group: str, topic: str) -> None:
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
    )

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"))
    async def fail(stream: faust.StreamT[bytes]) -> None:
        async for _ in stream:
            raise RuntimeError("the work failed")

    app.finalize()
    await app.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
