"""Storing a feed's health; a change is published."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.feeds.health.assessment import MonitoredFeed, PastRun, assess
from services.feeds.subscriptions.models import Feed
from services.feeds.subscriptions.service import save_feed
from shared.clock import database_now
from shared.events import Event, derived_id
from shared.events.feeds import HEALTH, SOURCE, HealthChanged
from shared.kafka.outbox import publish


def update_health(session: Session, feed: Feed, runs: Sequence[PastRun]) -> bool:
    """Assess a feed's health; store and publish it if it changed, and return whether it did.

    Args:
        session: of the feed's tenant, or of the platform.
        feed: the feed as it stands.
        runs: its last runs that ended, newest first; see `assessment.MAX_RUNS`.
    """
    now = database_now(session)
    monitored = MonitoredFeed(
        every=feed.every_seconds if feed.enabled else None,
        created_at=feed.created_at,
        listed=feed.listed,
        quarantine=feed.quarantine,
        last_modified=feed.cursor.get("last_modified"),
    )
    health = assess(monitored, runs, now)
    if health.state == feed.health:
        return False
    save_feed(
        session,
        feed,
        {"health": health.state, "health_since": now, "health_evidence": health.evidence},
    )
    changed = HealthChanged(
        feed.ref,
        health.state,
        feed.health,
        now.isoformat(timespec="milliseconds"),
        health.evidence,
    )
    event_id = derived_id(HEALTH.name, feed.id, feed.health_since, feed.health, health.state)
    key = str(feed.id).encode()
    publish(session, [Event(HEALTH, changed, feed.tenant, SOURCE, key, event_id)])
    return True
