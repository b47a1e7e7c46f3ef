"""What the feeds service does with its rows: subscribe, upload, start, list."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.feeds import repository
from services.feeds.formats.registry import find
from services.feeds.worker import celery
from shared.auth import Principal
from shared.celery import send
from shared.database import PLATFORM, Database
from shared.errors import Forbidden, InvalidInput, Unavailable
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.outbox import publish
from shared.logging import get_logger

log = get_logger(__name__)

RUN_FEED = "feeds.tasks.run_feed"


def create_feed(database: Database, who: Principal, values: dict[str, Any]) -> dict[str, Any]:
    """Subscribe to a feed; it is fetched for the first time at once, if it has an address and a cadence."""
    _check(values)
    scheduled = values.get("url") and values.get("every_seconds")
    with database.transaction(who.tenant) as session:
        due = sa.func.now() if scheduled else None
        row = repository.insert_feed(
            session, {**values, "tenant": who.tenant, "created_by": who.actor, "next_run_at": due}
        )
        _audit(session, who, "feeds.create", row)
    return _dict(row)


def update_feed(database: Database, who: Principal, feed_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    """Change a feed; a new cadence counts from now."""
    _check(values)
    if "every_seconds" in values or "url" in values:
        values = {**values, "next_run_at": sa.func.now()}
    with database.transaction(who.tenant) as session:
        row = repository.update_feed(session, who.tenant, feed_id, values)
        _audit(session, who, "feeds.update", row)
    return _dict(row)


def delete_feed(database: Database, who: Principal, feed_id: UUID) -> None:
    """Remove a feed; what it said stays known until it expires."""
    with database.transaction(who.tenant) as session:
        row = repository.get_feed(session, feed_id)
        repository.delete_feed(session, who.tenant, feed_id)
        _audit(session, who, "feeds.delete", row)


def _check(values: Mapping[str, Any]) -> None:
    if values.get("format") is not None:
        find(values["format"])
    if values.get("every_seconds") and "url" in values and not values["url"]:
        raise InvalidInput("A feed without an address cannot be fetched on a schedule.", field="every_seconds")


def _audit(session: Session, who: Principal, action: str, feed: sa.Row[Any]) -> None:
    said = Recorded(who.actor, action, str(feed.id), {"name": feed.name})
    publish(session, [Event(RECORDED, said, who.tenant, "/services/feeds", who.tenant.encode())])


def start_run(database: Database, who: Principal, feed_id: UUID) -> dict[str, Any]:
    """Fetch a feed now."""
    return get_run(database, who.tenant, UUID(start_feed(database, who.tenant, feed_id, who.actor)))


def start_feed(database: Database, tenant: str, feed_id: UUID, actor: str) -> str:
    """Make a run that fetches a feed now; its id.

    Raises:
        Forbidden: the feed is another tenant's, which is `public` then.
        InvalidInput: it has no address.
    """
    with database.transaction(tenant) as session:
        feed = repository.get_feed(session, feed_id)
        if feed.tenant != tenant:
            raise Forbidden(f"{feed.name} is run by the tenant {feed.tenant}; its news reach this one by themselves.")
        if feed.url is None:
            raise InvalidInput(f"{feed.name} has no address to fetch; upload a payload instead.", field="url")
        run_id = repository.insert_run(session, feed, actor=actor, observed_at=datetime.now(UTC), payload=None)
    _hint(run_id, tenant, actor)
    return str(run_id)


def ingest(database: Database, who: Principal, name: str, payload: str, values: dict[str, Any]) -> dict[str, Any]:
    """Run an uploaded payload through a feed of that name, which is made when there is none.

    Args:
        database: the service's database.
        who: who uploads, into whose tenant.
        name: the feed's name in the tenant.
        payload: digest of what was uploaded.
        values: settings of the feed; those given replace what it has.
    """
    _check(values)
    with database.transaction(who.tenant) as session:
        feed = repository.feed_named(session, who.tenant, name)
        if feed is None:
            owner = {"tenant": who.tenant, "created_by": who.actor}
            defaults = {
                "confidence": 50,
                "reliability": "B",
                "tlp": "clear",
                "tags": [],
                "options": {},
                "enabled": True,
            }
            feed = repository.insert_feed(session, {**defaults, **values, **owner, "name": name})
            _audit(session, who, "feeds.create", feed)
        elif values:
            feed = repository.update_feed(session, who.tenant, feed.id, values)
        run_id = repository.insert_run(session, feed, actor=who.actor, observed_at=datetime.now(UTC), payload=payload)
    _hint(run_id, who.tenant, who.actor)
    return get_run(database, who.tenant, run_id)


def _hint(run_id: UUID, tenant: str, actor: str = "system") -> bool:
    """Tell a worker about a run; when the queue is away the reconciler will."""
    try:
        send(celery, RUN_FEED, str(run_id), tenant=tenant, actor=actor)
    except Unavailable as error:
        log.warning("run.waits_for_queue", run=str(run_id), reason=error.message)
        return False
    return True


def start_due_feeds(database: Database, limit: int = 500) -> int:
    """Start the feeds whose time has come; how many."""
    with database.transaction(PLATFORM) as session:
        started = repository.start_due(session, datetime.now(UTC), "system", limit)
    return sum(_hint(run_id, tenant) for run_id, tenant in started)


def reconcile(database: Database) -> int:
    """Enqueue again what waits and nobody works on; how many."""
    with database.transaction(PLATFORM) as session:
        lost = repository.lost_runs(session)
    return sum(_hint(row.id, row.tenant) for row in lost)


def get_feed(database: Database, tenant: str, feed_id: UUID) -> dict[str, Any]:
    """One feed."""
    with database.transaction(tenant) as session:
        return _dict(repository.get_feed(session, feed_id))


def list_feeds(database: Database, tenant: str, after: UUID | None, limit: int) -> dict[str, Any]:
    """A page of feeds, with the cursor of the next."""
    with database.transaction(tenant) as session:
        rows = repository.list_feeds(session, after, limit)
    return {"items": [_dict(row) for row in rows], "next": str(rows[-1].id) if len(rows) == limit else None}


def get_run(database: Database, tenant: str, run_id: UUID) -> dict[str, Any]:
    """One run."""
    with database.transaction(tenant) as session:
        return _dict(repository.get_run(session, run_id))


def list_runs(
    database: Database, tenant: str, feed_id: UUID | None, before: datetime | None, limit: int
) -> dict[str, Any]:
    """A page of runs, newest first, with the cursor of the next."""
    with database.transaction(tenant) as session:
        rows = repository.list_runs(session, feed_id, before, limit)
    return {
        "items": [_dict(row) for row in rows],
        "next": rows[-1].queued_at.isoformat() if len(rows) == limit else None,
    }


def _dict(row: sa.Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name
