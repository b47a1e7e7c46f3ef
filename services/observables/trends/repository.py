"""The trends' SQL: a trend is a row and an event, or neither, and each of them once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.trends.windows import Trend
from shared.events import Event
from shared.events.observables import TRENDING, Trending
from shared.kafka.outbox import publish
from shared.stix.ids import SENTINELIQ_NAMESPACE, stix_id

SOURCE: Final = "/services/observables"
_TIME = sa.DateTime(timezone=True)

TREND = sa.Table(
    "trend",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("kind", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("feeds", pg.ARRAY(sa.Text)),
    sa.Column("count", sa.Integer),
    sa.Column("baseline", sa.Double),
    sa.Column("window_start", _TIME),
    sa.Column("window_seconds", sa.Integer),
    sa.Column("announced_at", _TIME),
)


def announce(session: Session, trends: Iterable[Trend]) -> int:
    """Store trends and announce those that are new; how many are.

    The session must be the platform's, since trends of several tenants come together.
    """
    # In the order of the key, so that two writers of the same trends never wait for each other in a circle.
    by_key = dict(sorted(((trend.tenant, trend.id), trend) for trend in trends))
    if not by_key:
        return 0
    rows = [_row(trend) for trend in by_key.values()]
    statement = insert(TREND).on_conflict_do_nothing().returning(TREND.c.tenant, TREND.c.id)
    fresh = [by_key[row.tenant, row.id] for row in session.execute(statement, rows)]
    publish(session, [_event(trend) for trend in fresh])
    return len(fresh)


def _row(trend: Trend) -> dict[str, Any]:
    return {
        "tenant": trend.tenant,
        "id": trend.id,
        "kind": trend.kind,
        "subject": trend.subject,
        "type": trend.type,
        "value": trend.subject if trend.kind == "value" else None,
        "feeds": list(trend.feeds),
        "count": trend.count,
        "baseline": trend.baseline,
        "window_start": trend.started_at,
        "window_seconds": trend.window_seconds,
    }


def _event(trend: Trend) -> Event[Trending]:
    identity, type_ = _identity(trend)
    said = Trending(
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
    # The event's id is the trend's: whoever hears it twice knows it by that.
    return Event(TRENDING, said, trend.tenant, SOURCE, key=identity.encode(), id=str(trend.id))


def _identity(trend: Trend) -> tuple[str, str]:
    """STIX id and type of what trends."""
    if trend.kind == "malware":
        return f"malware--{uuid5(SENTINELIQ_NAMESPACE, trend.subject)}", "malware"
    if trend.kind == "registrar":
        return f"identity--{uuid5(SENTINELIQ_NAMESPACE, trend.subject)}", "identity"
    type_ = trend.type or "autonomous-system"
    return stix_id(type_, trend.subject), type_


def page(
    session: Session,
    since: datetime | None = None,
    kind: str | None = None,
    limit: int = 100,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[sa.Row[Any]]:
    """Trends that the tenant may see, the newest first.

    Args:
        session: the tenant's.
        since: only those announced at or after it.
        kind: value, malware, as or registrar.
        limit: how many at most.
        after: `announced_at` and `id` of the last one of the page before.
    """
    place = sa.tuple_(TREND.c.announced_at, TREND.c.id)
    query = sa.select(TREND).order_by(TREND.c.announced_at.desc(), TREND.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(TREND.c.announced_at >= since)
    if kind is not None:
        query = query.where(TREND.c.kind == kind)
    if after is not None:
        query = query.where(place < sa.tuple_(*after))
    return session.execute(query).all()
