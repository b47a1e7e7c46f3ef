"""Tasks of deliveries."""

from functools import partial

from services.notifications import NAME
from services.notifications.deliveries.dispatcher import DeliveryDispatcher
from services.notifications.deliveries.wakeup import DELIVER_PENDING, Vigil, wake_worker
from services.notifications.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings


@celery.task(name=DELIVER_PENDING, bind=True)
def deliver_pending(self: ServiceTask) -> dict[str, object]:
    """Deliver what is due through all channels; wake another worker when the time is over."""
    wake = partial(wake_worker, self.actor)
    counts = DeliveryDispatcher(database(NAME), load_settings(), wake, vigil=Vigil()).run()
    return {
        "status": "ok",
        "delivered": counts.delivered,
        "failed": counts.failed,
        "retrying": counts.retrying,
    }
