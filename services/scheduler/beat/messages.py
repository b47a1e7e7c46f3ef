"""The messages of firings, as Beat and the sweep send them."""

from contextlib import suppress
from typing import Final

from celery import Celery
from kombu.messaging import Producer
from redis.exceptions import RedisError

from services.scheduler.beat.repository import PendingFiring
from shared.database import PLATFORM
from shared.errors import Unavailable
from shared.runtime import firings
from shared.runtime.celery import BROKER_ERRORS
from shared.runtime.hints import MESSAGE_SECONDS, mark, queue_lengths, unmark

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

    The platform's own schedules call tasks that look for rows: while the message of an earlier
    firing is unread, another one says nothing new.

    Raises:
        Unavailable: the broker does not answer, or accepts nothing.
    """
    is_hint = firing.tenant == PLATFORM
    args = tuple(firing.args)
    try:
        if is_hint and not mark(firing.task, args):
            return
        _send(app, firing, producer)
    except BROKER_ERRORS as error:
        if is_hint:
            with suppress(RedisError):
                unmark(firing.task, args)
        raise Unavailable(_AWAY) from error


def _send(app: Celery, firing: PendingFiring, producer: Producer | None) -> None:
    # The message's id is the trace's id too: UUIDs and trace ids are both 16 bytes.
    trace = firing.message_id.hex
    headers = {
        firings.HEADER: firing.tenant != PLATFORM,
        firings.REPORTED_HEADER: True,
        "tenant": firing.tenant,
        "actor": firing.actor,
        "traceparent": f"00-{trace}-{trace[:16]}-01",
    }
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
