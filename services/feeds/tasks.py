"""What the feeds service does in the background."""

from typing import Any
from uuid import UUID

from services.feeds import runs, service
from services.feeds.worker import celery
from shared.celery import ServiceTask
from shared.database import database
from shared.settings import load_settings

__all__ = ["celery", "run_feed", "start_due_feeds", "start_feed"]


@celery.task(name="feeds.tasks.run_feed", bind=True)
def run_feed(self: ServiceTask, run_id: str) -> dict[str, Any]:
    """Fetch, parse and send on what one run is about; a run that is done or in good hands is skipped."""
    return runs.execute(database("feeds"), load_settings(), self.tenant, UUID(run_id))


@celery.task(name="feeds.tasks.start_feed", bind=True)
def start_feed(self: ServiceTask, feed_id: str) -> dict[str, Any]:
    """Fetch one feed now: what a schedule of a tenant's own names, with the feed's id."""
    return {"status": "ok", "run": service.start_feed(database("feeds"), self.tenant, UUID(feed_id), self.actor)}


@celery.task(name="feeds.tasks.start_due_feeds", bind=True)
def start_due_feeds(_self: ServiceTask) -> dict[str, Any]:
    """Make a run for every feed whose time has come."""
    return {"status": "ok", "started": service.start_due_feeds(database("feeds"))}
