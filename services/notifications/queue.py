"""Waking the deliverer. The message is only a hint: when the queue does not take it, the reconciler sends another."""

from typing import Final

from sqlalchemy import event
from sqlalchemy.orm import Session

from services.notifications.worker import celery
from shared.celery import send
from shared.database import PLATFORM
from shared.errors import Unavailable
from shared.logging import get_logger

log = get_logger(__name__)

DELIVER: Final = "notifications.tasks.deliver_pending"


def wake(actor: str = "system") -> None:
    """Ask for a worker to deliver what is due."""
    try:
        send(celery, DELIVER, tenant=PLATFORM, actor=actor)
    except Unavailable as error:
        log.warning("deliverer.not_woken", reason=error.message)


def wake_after_commit(session: Session) -> None:
    """Wake the deliverer once the transaction at hand is committed, and only then."""
    if session.info.setdefault(DELIVER, False):
        return
    session.info[DELIVER] = True

    def committed(ended: Session) -> None:
        # The release of a savepoint is announced as a commit too.
        if not ended.in_nested_transaction():
            wake()

    event.listen(session, "after_commit", committed)
