"""Trends are stored and announced together: both happen once, or neither."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from services.observables import EVENT_SOURCE
from services.observables.trends import repository
from services.observables.trends.expectation import HISTORY_HOURS
from services.observables.trends.repository import StoredTrend
from services.observables.trends.trend import HourlyPeak, Trend
from shared.database import PLATFORM, Database
from shared.events import Event
from shared.events.observables import TRENDING, Trending
from shared.kafka.outbox import publish
from shared.pagination import Page, decode_cursor, paginate
from shared.stix.ids import SENTINELIQ_NAMESPACE, stix_id

_MAX_PEAKS: Final = 2_000_000
"""Peaks that are read at the start: those of 3,000 subjects that arrive in every hour."""


def announce(session: Session, trends: Iterable[Trend]) -> int:
    """Store trends and publish the new ones; return how many are new.

    The session must be the platform's, since trends of several tenants come together.
    """
    new = repository.insert_new(session, trends)
    publish(session, [_event(trend) for trend in new])
    return len(new)


def store_peaks(session: Session, peaks: Iterable[HourlyPeak]) -> None:
    """Store the peaks of hours that are over; the session must be the platform's."""
    repository.put_peaks(session, peaks)


def load_peaks(database: Database, now: float) -> list[HourlyPeak]:
    """The peaks that expectations rest on, the newest first.

    Args:
        database: the service's.
        now: seconds since the epoch.
    """
    since = datetime.fromtimestamp(now, UTC) - timedelta(hours=HISTORY_HOURS)
    with database.transaction(PLATFORM) as session:
        return repository.list_peaks(session, since, _MAX_PEAKS)


def _event(trend: Trend) -> Event[Trending]:
    identity, type_ = _stix_identity(trend)
    data = Trending(
        id=identity,
        type=type_,
        value=trend.subject,
        feeds=list(trend.feeds),
        window_seconds=trend.window_seconds,
        started_at=trend.started_at.isoformat().replace("+00:00", "Z"),
        kind=trend.kind,
        subject=trend.subject,
        count=trend.count,
        baseline=trend.baseline,
    )
    # The event's id is the trend's, by which consumers recognise a repetition.
    return Event(
        TRENDING, data, trend.tenant, EVENT_SOURCE, key=identity.encode(), id=str(trend.id)
    )


def _stix_identity(trend: Trend) -> tuple[str, str]:
    """STIX id and type of what trends."""
    if trend.kind == "malware":
        return f"malware--{uuid5(SENTINELIQ_NAMESPACE, trend.subject)}", "malware"
    if trend.kind == "registrar":
        return f"identity--{uuid5(SENTINELIQ_NAMESPACE, trend.subject)}", "identity"
    type_ = trend.type or "autonomous-system"
    return stix_id(type_, trend.subject), type_


def list_trends(
    database: Database,
    tenant: str,
    kind: str | None,
    since: datetime | None,
    after: str | None,
    limit: int,
) -> Page[StoredTrend]:
    """A page of trends, the newest first.

    Raises:
        InvalidInput: `after` is no cursor of this list.
    """
    place = decode_cursor(after, tuple[datetime, UUID])
    with database.transaction(tenant) as session:
        rows = repository.list_trends(session, limit + 1, place, since, kind)
    return paginate(rows, limit, lambda trend: (trend.announced_at, trend.id))
