"""Notices that a broker or a topic was away while a consumer read: the log may be another one.

A log that lost its end, or a topic that was made anew, may have grown past a consumer's position by
the time of its next fetch. That fetch succeeds, and says nothing of the records before it.
"""

from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest

_DEFAULT_GROUP: Final = 0


class FetchWatch:
    """Counts breaks in a consumer's fetches.

    Args:
        consumer: not started yet.

    Attributes:
        breaks: fetches that failed, were refused for a partition, or went over a new connection.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.breaks = 0
        self._client = consumer._client  # noqa: SLF001  # aiokafka tells nobody else
        self._send_request = self._client.send
        self._client.send = self._send
        self._connections: dict[int, AIOKafkaConnection] = {}

    def is_unbroken_since(self, breaks: int) -> bool:
        """Whether there was no further break."""
        return self.breaks == breaks

    async def _send(self, node: int, request: Any, **options: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await self._send_request(node, request, **options)
        try:
            response = await self._send_request(node, request, **options)
        except KafkaError:
            self.breaks += 1
            raise
        connection = self._client._conns.get((node, _DEFAULT_GROUP))  # noqa: SLF001
        is_new = self._connections.get(node, connection) is not connection
        self._connections[node] = connection
        if is_new or any(part[1] for _, parts in response.topics for part in parts):
            self.breaks += 1
        return response
