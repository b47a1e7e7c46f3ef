"""What the feeds service does in the background."""

from typing import Any, Final
from uuid import UUID

from services.feeds.health import service as watching
from services.feeds.runs import execution
from services.feeds.subscriptions import service
from services.feeds.worker import celery
from shared.database import database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings

RUN_LIMIT: Final = 4 * 3600
"""Seconds of a run."""

__all__ = ["celery", "check_feeds", "prune_feeds", "run_feed", "start_due_feeds", "start_feed"]


# A long list waits for the observables service, hours if need be; a worker that is gone is told by the run's lease.
@celery.task(
    name="feeds.tasks.run_feed", bind=True, time_limit=RUN_LIMIT, soft_time_limit=RUN_LIMIT - 60
)
def run_feed(self: ServiceTask, run_id: str) -> dict[str, Any]:
    """Fetch, parse and send on what one run is about; a run that is done or in good hands is skipped."""
    return execution.execute(database("feeds"), load_settings(), self.tenant, UUID(run_id))


@celery.task(name="feeds.tasks.start_feed", bind=True)
def start_feed(self: ServiceTask, feed_id: str) -> dict[str, Any]:
    """Fetch one feed now: what a schedule of a tenant's own names, with the feed's id."""
    return {
        "status": "ok",
        "run": service.start_feed(database("feeds"), self.tenant, UUID(feed_id), self.actor),
    }


@celery.task(name="feeds.tasks.start_due_feeds", bind=True)
def start_due_feeds(_self: ServiceTask) -> dict[str, Any]:
    """Make a run for every feed whose time has come."""
    return {"status": "ok", "started": service.start_due_feeds(database("feeds"))}


@celery.task(name="feeds.tasks.check_feeds", bind=True)
def check_feeds(_self: ServiceTask) -> dict[str, Any]:
    """Judge the health of every feed: those that went silent have no run that would tell."""
    return {"status": "ok", "changed": watching.watch_all(database("feeds"))}


@celery.task(name="feeds.tasks.prune_feeds", bind=True)
def prune_feeds(_self: ServiceTask, days: int = 30) -> dict[str, Any]:
    """Forget old runs, payloads beyond their retention, and versions that were replaced."""
    return {"status": "ok", **service.prune(database("feeds"), load_settings(), days)}
