"""What the scheduler learns of the firings whose messages it has sent.

A message may get lost, and then no row of the task's service tells of the firing. A worker
therefore notes in the broker that the task of a firing has begun, and that it has ended. The
scheduler reads these notes, and sends again what has not begun and waits in no queue. A note that
is lost costs a second message, as a flushed broker does.

Beside these notes, the worker notes what became of the task, for those who read the history.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from shared.runtime.hints import open_broker

HEADER: Final = "firing"
"""The header of a message whose sender reads the notes about it."""
REPORTED_HEADER: Final = "reported"
"""The header of a message whose task's outcome is noted, also where nothing is sent again."""

_BEGUN: Final = b"begun"
_ENDED: Final = b"ended"
_PREFIX: Final = "sentineliq.firing."
_OUTCOME_PREFIX: Final = "sentineliq.outcome."
_MAX_REASON: Final = 500
"""Characters of the reason why a task failed."""
NOTE_SECONDS: Final = 7200
"""How long a note about an end or an outcome stays. The scheduler reads it within minutes."""

FiringProgress = Literal["begun", "ended"]
OutcomeState = Literal["running", "succeeded", "failed"]


class TaskOutcome(NamedTuple):
    """What became of the task of a firing.

    Attributes:
        state: `running` until it has ended; None if nobody knows.
        reason: why it failed.
        run: the run that it has started, whose outcome is that of the work.
    """

    state: OutcomeState | None
    reason: str | None = None
    run: UUID | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TaskOutcome).decode


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
    _note(message_id, _ENDED, NOTE_SECONDS)


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


def note_outcome(message_id: str, outcome: TaskOutcome, seconds: float = NOTE_SECONDS) -> None:
    """Note what became of the task of a firing, or that it runs.

    Args:
        message_id: the firing's.
        outcome: of its task; a long reason is cut.
        seconds: how long the note stays.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    reason = outcome.reason and outcome.reason[:_MAX_REASON]
    _set(_OUTCOME_PREFIX + message_id, _encode(outcome._replace(reason=reason)), seconds)


def read_outcomes(message_ids: Sequence[UUID]) -> dict[UUID, TaskOutcome]:
    """Return what became of the tasks of firings; those of which nothing is noted are left out.

    Raises:
        redis.RedisError: the broker does not answer.
    """
    broker = open_broker()
    if broker is None or not message_ids:
        return {}
    with broker.client() as client:
        notes = client.mget([f"{_OUTCOME_PREFIX}{identity}" for identity in message_ids])
    return {
        identity: _decode(note)
        for identity, note in zip(message_ids, notes, strict=True)
        if note is not None
    }


def _note(message_id: str, note: bytes, seconds: float) -> None:
    _set(_PREFIX + message_id, note, seconds)


def _set(key: str, note: bytes, seconds: float) -> None:
    broker = open_broker()
    if broker is not None:
        with broker.client() as client:
            client.set(key, note, ex=int(seconds))
