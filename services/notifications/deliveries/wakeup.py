"""Wake a worker for due deliveries.

The message is only a hint: if the queue does not accept it, a sweep sends another.
"""

from typing import Final

from sqlalchemy.orm import Session

from services.notifications.worker import celery
from shared.runtime.celery import enqueue_after_commit, enqueue_best_effort

DELIVER_PENDING: Final = "notifications.tasks.deliver_pending"


def wake_worker(actor: str = "system") -> None:
    """Ask for a worker that delivers what is due."""
    enqueue_best_effort(celery, DELIVER_PENDING, actor)


def wake_worker_after_commit(session: Session) -> None:
    """Ask for a worker once the current transaction is committed."""
    enqueue_after_commit(session, celery, DELIVER_PENDING)
