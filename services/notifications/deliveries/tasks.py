"""The tasks of notifications."""

from services.notifications.deliveries.dispatcher import Deliverer
from services.notifications.deliveries.wakeup import wake
from services.notifications.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name="notifications.tasks.deliver_pending", bind=True)
def deliver_pending(self: ServiceTask) -> dict[str, object]:
    """Deliver everything that is due, through every channel, and ask for another worker if more is left."""
    done = Deliverer(database("notifications"), load_settings()).run()
    if done.more:
        wake(self.actor)
    return {
        "status": "ok",
        "delivered": done.delivered,
        "failed": done.failed,
        "retrying": done.retrying,
    }
