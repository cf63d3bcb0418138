"""Faust's consumer, taught to wait where a topic is forbidden for a while.

Faust ends at the first refusal. The fetcher of aiokafka has put the refusal behind it by then and asks again from
the same offset, so that whoever waits misses nothing. A refusal of the group is another matter: aiokafka's member
does not come back from it, and the process must end.
"""

import asyncio
import logging
from typing import Any

from aiokafka.errors import TopicAuthorizationFailedError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

from coronium.runtime import metrics

WAIT_SECONDS = 1.0

log = logging.getLogger(__name__)


class _PatientThread(AIOKafkaConsumerThread):
    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._fetch_records(*args, **kwargs)
        except TopicAuthorizationFailedError as error:
            metrics.TRANSIENT_FAULTS.inc()
            log.warning("put off", extra={"detail": f"the broker lets us not read: {error!r}", "seconds": WAIT_SECONDS})
            await asyncio.sleep(WAIT_SECONDS)
            return {}


class _PatientConsumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _PatientThread(self, loop=self.loop, beacon=self.beacon)


class PatientTransport(Transport):
    """Faust's transport with a consumer that waits."""

    Consumer = _PatientConsumer
