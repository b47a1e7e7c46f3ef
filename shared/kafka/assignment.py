"""The partitions that a consumer has at present: a task for each, so that none waits for another.

A partition whose transaction waits (for a lock, for the database) holds up its own records only.
What Kafka has sent for it stays in the client, at most one fetch; the task asks for more when it
has applied what it had.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

_NO_PARTITION: Final = TopicPartition("", 0)
_CHECK_MS: Final = 1000


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Starts a task for each partition when it is assigned, and cancels it when it is revoked.

    A revoked partition's transaction may go on in its thread: the offset row fences it off.

    Args:
        consume: reads and applies the records of one partition until it is cancelled.
    """

    def __init__(self, consume: Callable[[TopicPartition], Coroutine[Any, Any, None]]) -> None:
        self._consume = consume
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._is_closed = False

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Cancel the tasks of partitions that others may have from now on."""
        for partition in revoked:
            task = self._tasks.get(partition)
            if task is not None and not task.done():
                del self._tasks[partition]
                task.cancel()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start a task for each partition."""
        if self._is_closed:
            return
        for partition in sorted(assigned - self._tasks.keys()):
            name = f"{partition.topic}/{partition.partition}"
            self._tasks[partition] = asyncio.create_task(self._consume(partition), name=name)

    async def watch(self, consumer: AIOKafkaConsumer) -> None:
        """Wait until a task fails or the consumer leaves its group, and raise that error."""
        while True:
            # A poll for no partition raises the errors of the group, and tells the client that
            # this consumer is active: one without a partition stands by for those of others.
            await consumer.getmany(_NO_PARTITION, timeout_ms=_CHECK_MS)
            for task in self._tasks.values():
                if task.done():
                    task.result()

    async def close(self) -> None:
        """Cancel all tasks and wait for their ends; none is started from now on."""
        self._is_closed = True
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
