"""Beats and pending firings, for operators."""

from services.scheduler.beat import repository
from services.scheduler.beat.schemas import BeatView, PendingFiringsView
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
