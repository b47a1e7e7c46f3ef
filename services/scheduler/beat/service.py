"""Beats and pending firings, for operators; and firings that no Beat sends."""

from functools import partial

from services.scheduler.beat import repository
from services.scheduler.beat.messages import full_queues, send_firing
from services.scheduler.beat.rounds import send_pending
from services.scheduler.beat.schemas import BeatView, PendingFiringsView
from services.scheduler.worker import celery
from shared.database import PLATFORM, Database
from shared.pagination import Page


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
