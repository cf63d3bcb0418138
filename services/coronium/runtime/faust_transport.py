"""Faust's consumer, taught to wait where a topic is forbidden for a while, and to pass on all that it reads.

Faust ends at the first refusal. The fetcher of aiokafka has put the refusal behind it by then and asks again from
the same offset, so that whoever waits misses nothing. A refusal of the group is another matter: aiokafka's member
does not come back from it, and the process must end.

Faust keeps the last offset of each partition that it passed on and drops what is before it. A record that was on its
way while the partition was sought back sets that offset ahead again, and of what is then read again the beginning is
dropped: a gap that looks real. The order is the loop's own (`coronium.runtime.positions`), so nothing is kept here.
"""

import asyncio
import logging
from collections.abc import Iterator, MutableMapping
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


class _Nothing(MutableMapping[Any, Any]):
    """Keeps nothing, and says of everything that it is not known."""

    def __getitem__(self, key: Any) -> None:
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        return

    def __delitem__(self, key: Any) -> None:
        return

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _PatientConsumer(Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Nothing()

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _PatientThread(self, loop=self.loop, beacon=self.beacon)


class PatientTransport(Transport):
    """Faust's transport with a consumer that waits."""

    Consumer = _PatientConsumer
