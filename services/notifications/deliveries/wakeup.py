"""Waking the deliverer. The message is only a hint: when the queue does not take it, the reconciler sends another."""

from typing import Final

from sqlalchemy.orm import Session

from services.notifications.worker import celery
from shared.runtime.celery import hint, hint_after_commit

DELIVER: Final = "notifications.tasks.deliver_pending"


def wake(actor: str = "system") -> None:
    """Ask for a worker to deliver what is due."""
    hint(celery, DELIVER, actor)


def wake_after_commit(session: Session) -> None:
    """Wake the deliverer once the transaction at hand is committed, and only then."""
    hint_after_commit(session, celery, DELIVER)
