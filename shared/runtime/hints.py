"""At most one outstanding hint for each purpose.

A hint is a queue message that says that there is work in rows. A second one before the first was
read says nothing new. A mark in the broker remembers that a hint is outstanding: it lives where the
message does, so that a broker that is flushed forgets both. The task that a hint calls removes the
mark when it starts, and the mark runs out by itself in case the message was lost.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import redis

from shared.runtime.broker_login import BrokerLogin
from shared.runtime.queues import QUEUES
from shared.settings import load_settings

HINT_SECONDS: Final = 20
"""Seconds after which a hint that no task has answered is sent again."""
QUEUE_LIMIT: Final = 1000
"""Messages in a queue with which no further hint is sent: its workers have enough to do."""
MESSAGE_SECONDS: Final = 3600
"""Seconds after which a worker drops a message unread.

Sender and worker compare their own clocks here, so it is much longer than the clocks may differ.
"""

_PREFIX: Final = "sentineliq.hint."
_SENT: Final = b"1"
"""The value of a mark whose message no task has begun."""
_TIMEOUT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 5.0
"""Seconds for which a broker that did not answer is not asked again.

Who sends hints has other work to do, and the rows wait.
"""


class BrokerConnections:
    """The connections to the broker, and whether it is worth asking."""

    def __init__(self, url: str) -> None:
        self._retry_at = 0.0
        address = urlsplit(url)
        self._client = redis.Redis.from_url(
            address._replace(netloc=address.netloc.rpartition("@")[2]).geturl(),
            credential_provider=BrokerLogin() if address.password else None,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_keepalive=True,
            health_check_interval=10,
        )

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Lend the client.

        Raises:
            redis.RedisError: the broker does not answer, or did not a moment ago.
        """
        if time.monotonic() < self._retry_at:
            raise redis.ConnectionError("The broker did not answer a moment ago.")
        try:
            yield self._client
        except (redis.ConnectionError, redis.TimeoutError):
            self._retry_at = time.monotonic() + _PAUSE_SECONDS
            raise


@cache
def _broker_at(url: str) -> BrokerConnections | None:
    # Another kind of broker does not count hints.
    return BrokerConnections(url) if url.startswith(("redis://", "rediss://", "unix://")) else None


def open_broker() -> BrokerConnections | None:
    """Return the connections to the broker; None if it is of a kind that keeps no marks."""
    return _broker_at(load_settings().celery_broker_url.get_secret_value())


def _key(task: str, args: tuple[object, ...]) -> str:
    return _PREFIX + task + json.dumps(args, separators=(",", ":"))


def queue_lengths() -> dict[str, int]:
    """Return the numbers of messages in the services' queues; none where the broker cannot tell.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is None:
        return {}
    queues = list(QUEUES.values())
    with broker.client() as client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.llen(queue)
        return dict(zip(queues, map(int, pipeline.execute()), strict=True))


def mark(task: str, args: tuple[object, ...]) -> bool:
    """Mark a hint as outstanding.

    Args:
        task: its name.
        args: its arguments.

    Returns:
        Whether to send it. It is not sent while one is outstanding or the queue is full.

    Raises:
        redis.RedisError: the broker does not answer, or accepts nothing.
    """
    broker = open_broker()
    if broker is None:
        return True
    with broker.client() as client, client.pipeline(transaction=False) as pipeline:
        pipeline.llen(QUEUES[task.partition(".")[0]])
        pipeline.set(_key(task, args), _SENT, nx=True, ex=HINT_SECONDS)
        length, is_new = pipeline.execute()
    if is_new and int(length) >= QUEUE_LIMIT:
        unmark(task, args)
        return False
    return bool(is_new)


def unmark(task: str, args: tuple[object, ...]) -> None:
    """Forget that a hint is outstanding: its task has begun, or it was not sent.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is not None:
        with broker.client() as client:
            client.delete(_key(task, args))


def hold(task: str, args: tuple[object, ...], holder: str, seconds: int) -> bool:
    """Mark a hint as outstanding for a time: its task runs, and finds new rows by itself.

    Args:
        task: its name.
        args: its arguments.
        holder: tells the run of the task from others.
        seconds: how long the mark lasts unless it is held again.

    Returns:
        False if another run holds it. Two that begin at once may both hold it for a moment.

    Raises:
        redis.RedisError: the broker does not answer, or accepts nothing.
    """
    broker = open_broker()
    if broker is None:
        return True
    with broker.client() as client:
        present = client.get(_key(task, args))
        if present not in (None, _SENT, holder.encode()):
            return False
        client.set(_key(task, args), holder, ex=seconds)
    return True


def forget_marks(service: str) -> None:
    """Forget the outstanding hints of a service: its worker starts, and may have taken them along.

    What a killed worker had received is not in its queue any more. Another worker's messages may
    get company for that, which does no harm.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is not None:
        with broker.client() as client:
            for key in client.scan_iter(f"{_PREFIX}{service}.*", count=1000):
                client.delete(key)
