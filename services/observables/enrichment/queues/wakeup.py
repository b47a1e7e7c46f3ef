"""Waking the askers. The message is only a hint: when the queue does not take it, the reconciler sends another."""

from typing import Final

from sqlalchemy.orm import Session

from services.observables.enrichment.queues.repository import provider_queues
from services.observables.providers.registry import enrichers
from services.observables.worker import celery
from shared.database import PLATFORM, Database
from shared.runtime.celery import enqueue_after_commit, enqueue_best_effort

ASK: Final = "observables.tasks.ask_pending"


def wake(actor: str = "system") -> None:
    """Ask for a worker to ask what is due."""
    enqueue_best_effort(celery, ASK, actor)


def wake_after_commit(session: Session) -> None:
    """Wake an asker once the transaction at hand is committed, and only then."""
    enqueue_after_commit(session, celery, ASK)


def wake_if_due(database: Database, actor: str) -> int:
    """Wake an asker when questions are due that nobody is asking; how many were woken."""
    with database.transaction(PLATFORM) as session:
        free = provider_queues.free(session, sorted(enrichers()))
    if free:
        wake(actor)
    return int(free)
