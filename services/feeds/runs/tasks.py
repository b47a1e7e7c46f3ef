"""Celery tasks of runs."""

from typing import Any, Final
from uuid import UUID

from services.feeds import NAME
from services.feeds.runs import service
from services.feeds.runs.execution import execute_next
from services.feeds.worker import celery
from shared.database import PLATFORM, database
from shared.runtime.celery import ServiceTask
from shared.settings import load_settings

RUN_LIMIT: Final = 4 * 3600
"""Seconds of a run."""


# A long list waits for the observables service, for hours if need be; the run's lease ends when its
# worker is lost.
@celery.task(
    name="feeds.tasks.run_feed", bind=True, time_limit=RUN_LIMIT, soft_time_limit=RUN_LIMIT - 60
)
def run_feed(_self: ServiceTask, run_id: str) -> dict[str, Any]:
    """Make an attempt at the run whose turn it is: the message says that runs wait, not which."""
    own_database = database(NAME)
    outcome = execute_next(own_database, load_settings())
    if outcome is None:
        return {"status": "skipped", "run": run_id}
    if not (outcome.is_end and service.enqueue_next(own_database, PLATFORM, outcome.run_id)):
        service.enqueue_waiting(own_database)
    return outcome.as_dict()


@celery.task(name="feeds.tasks.start_feed", bind=True)
def start_feed(self: ServiceTask, feed_id: str) -> dict[str, Any]:
    """Fetch one feed now, by its id: for schedules of tenants."""
    run_id = service.start_feed(database(NAME), self.tenant, UUID(feed_id), self.actor)
    return {"status": "ok", "run": str(run_id)}


@celery.task(name="feeds.tasks.start_due_feeds", bind=True)
def start_due_feeds(_self: ServiceTask) -> dict[str, Any]:
    """Start a run of every feed that is due."""
    return {"status": "ok", "started": service.start_due_feeds(database(NAME))}


@celery.task(name="feeds.tasks.check_feeds", bind=True)
def check_feeds(_self: ServiceTask) -> dict[str, Any]:
    """Assess the health of every feed that is fetched on a schedule."""
    return {"status": "ok", "changed": service.check_health(database(NAME))}
