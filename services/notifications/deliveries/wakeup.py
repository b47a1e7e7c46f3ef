"""Waking the deliverer. The message is only a hint: when the queue does not take it, the reconciler sends another."""

from typing import Final

from sqlalchemy.orm import Session

from services.notifications.worker import celery
from shared.runtime.celery import enqueue_after_commit, enqueue_best_effort

DELIVER: Final = "notifications.tasks.deliver_pending"


def wake(actor: str = "system") -> None:
    """Ask for a worker to deliver what is due."""
    enqueue_best_effort(celery, DELIVER, actor)


def wake_after_commit(session: Session) -> None:
    """Wake the deliverer once the transaction at hand is committed, and only then."""
    enqueue_after_commit(session, celery, DELIVER)
