"""Beats and pending firings, for operators; firings that no Beat sends, and lost messages."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from redis.exceptions import RedisError

from services.scheduler.beat import repository
from services.scheduler.beat.messages import full_queues, send_firing
from services.scheduler.beat.rounds import send_pending
from services.scheduler.beat.schemas import BeatView, PendingFiringsView
from services.scheduler.worker import celery
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.pagination import Page
from shared.runtime.firings import TaskOutcome, read_outcomes, read_progress
from shared.runtime.hints import MESSAGE_SECONDS, queue_lengths

_CONFIRM_BATCH: Final = 1000
_UNKNOWN: Final = TaskOutcome(None)
"""Of a task that has ended on a worker of the version before."""


def list_beats(database: Database) -> Page[BeatView]:
    """The Beats of the last day, those with the newest tick first."""
    with database.transaction(PLATFORM) as session:
        beats = repository.list_beats(session)
    return Page([BeatView.model_validate(beat) for beat in beats])


def reconcile(database: Database) -> PendingFiringsView:
    """Count the firings that no Beat has sent yet."""
    with database.transaction(PLATFORM) as session:
        return PendingFiringsView(pending=repository.count_pending(session))


def send_left_firings(database: Database) -> int:
    """Send what is recorded and not sent, as Beat does many times a second; how many.

    Raises:
        Unavailable: the broker accepts no more; the rest stays pending.
    """
    return send_pending(database, partial(send_firing, celery), full_queues())


def return_lost_firings(database: Database) -> int:
    """Make firings pending again whose messages got lost; how many.

    A message is lost when its task has not begun, and either its queue is empty or no worker would
    take it any more. The firing is sent again, or noted as missed, by its catch-up policy.

    Raises:
        Unavailable: the broker does not answer.
    """
    try:
        # First: what leaves its queue after this is in the notes that are read below, or begins.
        lengths = queue_lengths()
        count = 0
        while lengths:
            size, lost = _settle_batch(database, lengths)
            count += lost
            if size < _CONFIRM_BATCH:
                break
    except RedisError as error:
        raise Unavailable("The task queue does not answer.") from error
    return count


def _settle_batch(database: Database, lengths: Mapping[str, int]) -> tuple[int, int]:
    """Judge the firings that waited longest; how many these are, and how many of them are lost."""
    with database.transaction(PLATFORM) as session:
        fires = repository.list_unconfirmed(session, _CONFIRM_BATCH, MESSAGE_SECONDS)
    messages = [fire.message_id for fire in fires]
    progress = read_progress(messages)
    outcomes = read_outcomes(messages)
    ended = [
        (fire, outcomes.get(fire.message_id, _UNKNOWN))
        for fire in fires
        if progress.get(fire.message_id) == "ended"
    ]
    lost = [
        fire
        for fire in fires
        if fire.message_id not in progress and (fire.is_expired or not lengths.get(fire.queue))
    ]
    settled = {fire.message_id for fire, _ in ended} | {fire.message_id for fire in lost}
    with database.transaction(PLATFORM) as session:
        repository.confirm(session, ended)
        repository.return_to_pending(session, lost)
        others = [fire for fire in fires if fire.message_id not in settled]
        repository.postpone_confirmation(session, others)
    return len(fires), len(lost)
