"""The messages of firings, as Beat and the sweep send them."""

from typing import Final

from celery import Celery
from kombu.messaging import Producer
from redis.exceptions import RedisError

from services.scheduler.beat.repository import PendingFiring
from shared.errors import Unavailable
from shared.runtime.celery import BROKER_ERRORS
from shared.runtime.hints import MESSAGE_SECONDS, queue_lengths

FULL_QUEUE: Final = 20_000
"""Messages in a queue with which firings wait; a message takes about a kilobyte of the broker."""

_AWAY: Final = "The task queue does not answer; firings wait in the database."


def full_queues() -> list[str]:
    """The queues that take no firings now.

    Raises:
        Unavailable: the broker does not answer.
    """
    try:
        lengths = queue_lengths()
    except RedisError as error:
        raise Unavailable(_AWAY) from error
    return [queue for queue, length in lengths.items() if length >= FULL_QUEUE]


def send_firing(app: Celery, firing: PendingFiring, producer: Producer | None = None) -> None:
    """Give a firing's message to the broker.

    Raises:
        Unavailable: the broker does not answer, or accepts nothing.
    """
    # The message's id is the trace's id too: UUIDs and trace ids are both 16 bytes.
    trace = firing.message_id.hex
    headers = {
        "tenant": firing.tenant,
        "actor": firing.actor,
        "traceparent": f"00-{trace}-{trace[:16]}-01",
    }
    try:
        app.send_task(
            firing.task,
            args=tuple(firing.args),
            task_id=str(firing.message_id),
            queue=firing.queue,
            headers=headers,
            expires=MESSAGE_SECONDS,
            producer=producer,
            retry=False,
        )
    except BROKER_ERRORS as error:
        raise Unavailable(_AWAY) from error
