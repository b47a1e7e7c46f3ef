"""Keeping a feed's health: judged when a run ends and now and then; a change is an event."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.health.assessment import LOOKED_AT, Past, Watched, judge
from services.feeds.subscriptions import repository
from services.feeds.subscriptions.schemas import RELIABILITY
from shared.database import PLATFORM, Database
from shared.events import Event, FeedRef
from shared.events.feeds import HEALTH, SOURCE, HealthChanged
from shared.kafka.outbox import publish

_PAGE = 200


def watch(session: Session, feed_id: UUID) -> bool:
    """Judge a feed's health; whether it changed, which is then told.

    Args:
        session: of the feed's tenant, or of the platform.
        feed_id: the feed.
    """
    feed, now = repository.get_feed(session, feed_id), datetime.now(UTC)
    rows = repository.last_runs(session, feed_id, LOOKED_AT)
    runs = [Past(row.state, row.finished_at, row.report or {}, row.error or {}) for row in rows]
    every = feed.every_seconds if feed.enabled else None
    watched = Watched(
        every, feed.created_at, feed.listed, feed.held, feed.cursor.get("last_modified")
    )
    health = judge(watched, runs, now)
    if health.state == feed.health:
        return False
    values = {"health": health.state, "health_since": now, "health_evidence": health.evidence}
    repository.update_feed(session, feed.tenant, feed_id, values)
    ref = FeedRef(feed.id, feed.name, RELIABILITY[feed.reliability], feed.tlp, feed.kind)
    said = HealthChanged(
        ref, health.state, feed.health, now.isoformat(timespec="milliseconds"), health.evidence
    )
    publish(session, [Event(HEALTH, said, feed.tenant, SOURCE, str(feed.id).encode())])
    return True


def watch_all(database: Database) -> int:
    """Judge every feed that is fetched by itself: silence is nobody's run. How many changed."""
    changed, after = 0, None
    while True:
        with database.transaction(PLATFORM) as session:
            page = repository.watched_feeds(session, after, _PAGE)
            changed += sum(watch(session, feed_id) for feed_id in page)
        if len(page) < _PAGE:
            return changed
        after = page[-1]
