"""What the scheduler learns of the firings whose messages it has sent.

A message may get lost, and then no row of the task's service tells of the firing. A worker
therefore notes in the broker that the task of a firing has begun, and that it has ended. The
scheduler reads these notes, and sends again what has not begun and waits in no queue. A note that
is lost costs a second message, as a flushed broker does.
"""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from shared.runtime.hints import open_broker

HEADER: Final = "firing"
"""The header of a message whose sender reads the notes about it."""

_BEGUN: Final = b"begun"
_ENDED: Final = b"ended"
_PREFIX: Final = "sentineliq.firing."
_NOTE_SECONDS: Final = 7200
"""How long a note about an end stays. The scheduler reads it within a few minutes."""

FiringProgress = Literal["begun", "ended"]


def note_begin(message_id: str, seconds: float) -> None:
    """Note that a task has begun.

    Args:
        message_id: the firing's.
        seconds: after which it has ended, or its worker is lost.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    _note(message_id, _BEGUN, seconds)


def note_end(message_id: str) -> None:
    """Note that a task has ended, and is not to run again.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    _note(message_id, _ENDED, _NOTE_SECONDS)


def forget(message_id: str) -> None:
    """Forget that a task has begun: it could not do its work, and is to be sent again.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is not None:
        with broker.client() as client:
            client.delete(_PREFIX + message_id)


def read_progress(message_ids: Sequence[UUID]) -> dict[UUID, FiringProgress]:
    """Return how far the tasks of firings are; those that have not begun are left out.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is None or not message_ids:
        return {}
    with broker.client() as client:
        notes = client.mget([f"{_PREFIX}{identity}" for identity in message_ids])
    progress: dict[UUID, FiringProgress] = {}
    for identity, note in zip(message_ids, notes, strict=True):
        if note is not None:
            progress[identity] = "ended" if note == _ENDED else "begun"
    return progress


def _note(message_id: str, note: bytes, seconds: float) -> None:
    broker = open_broker()
    if broker is not None:
        with broker.client() as client:
            client.set(_PREFIX + message_id, note, ex=int(seconds))
