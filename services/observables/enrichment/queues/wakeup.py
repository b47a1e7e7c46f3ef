"""Wake-ups of enrichment workers.

A message is only a hint: a sweep sends another when the broker loses it.
"""

from typing import Final

from sqlalchemy.orm import Session

from services.observables.enrichment.queues.repository import provider_queues
from services.observables.providers.registry import enrichers
from services.observables.worker import celery
from shared.database import PLATFORM, Database
from shared.runtime.celery import enqueue_after_commit, enqueue_best_effort

TASK: Final = "observables.tasks.ask_pending"


def wake(actor: str = "system") -> None:
    """Wake an enrichment worker."""
    enqueue_best_effort(celery, TASK, actor)


def wake_after_commit(session: Session) -> None:
    """Wake a worker once the current transaction is committed, and only then."""
    enqueue_after_commit(session, celery, TASK)


def wake_if_due(database: Database, actor: str = "system") -> int:
    """Wake a worker when a queue without one has work; how many were woken."""
    with database.transaction(PLATFORM) as session:
        is_due = provider_queues.has_free(session, sorted(enrichers()))
    if is_due:
        wake(actor)
    return int(is_due)
