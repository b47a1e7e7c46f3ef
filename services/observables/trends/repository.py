"""The trends' SQL."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.trends.models import TREND, TREND_PEAK
from services.observables.trends.trend import HourlyPeak, Kind, Trend


@dataclass(frozen=True, slots=True)
class StoredTrend:
    """A trend as it is stored; its fields are the table's columns."""

    tenant: str
    id: UUID
    kind: Kind
    subject: str
    type: str | None
    value: str | None
    feeds: list[str]
    count: int
    baseline: float | None
    window_start: datetime
    window_seconds: int
    announced_at: datetime


_COLUMNS: Final = [TREND.c[field.name] for field in fields(StoredTrend)]


def insert_new(session: Session, trends: Iterable[Trend]) -> list[Trend]:
    """Store trends; return those that were not stored before.

    The session must be the platform's, since trends of several tenants come together.
    """
    # In the order of the key, so that two writers of the same trends never deadlock.
    by_key = dict(sorted(((trend.tenant, trend.id), trend) for trend in trends))
    if not by_key:
        return []
    rows = [_row(trend) for trend in by_key.values()]
    statement = insert(TREND).on_conflict_do_nothing().returning(TREND.c.tenant, TREND.c.id)
    return [by_key[row.tenant, row.id] for row in session.execute(statement, rows)]


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


def put_peaks(session: Session, peaks: Iterable[HourlyPeak]) -> None:
    """Store the peaks of hours; of two that are stored for an hour the higher stays.

    The session must be the platform's, since peaks of several tenants come together.
    """
    rows = [
        {
            "tenant": peak.subject[0],
            "kind": peak.subject[1],
            "subject": peak.subject[2],
            "hour": datetime.fromtimestamp(peak.hour * 3600, UTC),
            "peak": peak.peak,
        }
        for peak in sorted(peaks)
    ]
    if not rows:
        return
    statement = insert(TREND_PEAK)
    higher = sa.func.greatest(TREND_PEAK.c.peak, statement.excluded.peak)
    key = ("tenant", "kind", "subject", "hour")
    session.execute(
        statement.on_conflict_do_update(index_elements=key, set_={"peak": higher}), rows
    )


def list_peaks(session: Session, since: datetime, limit: int) -> list[HourlyPeak]:
    """The newest peaks of all tenants; the session must be the platform's.

    Args:
        session: the platform's.
        since: the first hour.
        limit: how many at most.
    """
    columns = TREND_PEAK.c
    query = (
        sa.select(columns.tenant, columns.kind, columns.subject, columns.hour, columns.peak)
        .where(columns.hour >= since)
        .order_by(columns.hour.desc())
        .limit(limit)
    )
    return [
        HourlyPeak((tenant, kind, subject), int(hour.timestamp()) // 3600, peak)
        for tenant, kind, subject, hour, peak in session.execute(query)
    ]


def list_trends(
    session: Session,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    since: datetime | None = None,
    kind: str | None = None,
) -> list[StoredTrend]:
    """Trends that the tenant may see, the newest first.

    Args:
        session: the tenant's.
        limit: how many at most.
        after: `announced_at` and `id` of the last one of the page before.
        since: only those announced at or after it.
        kind: value, malware, as or registrar.
    """
    place = sa.tuple_(TREND.c.announced_at, TREND.c.id)
    query = sa.select(*_COLUMNS).order_by(TREND.c.announced_at.desc(), TREND.c.id.desc())
    if since is not None:
        query = query.where(TREND.c.announced_at >= since)
    if kind is not None:
        query = query.where(TREND.c.kind == kind)
    if after is not None:
        query = query.where(place < sa.tuple_(*after))
    return [StoredTrend(*row) for row in session.execute(query.limit(limit))]


def try_leader_lock(connection: psycopg.Connection) -> bool:
    """Take the advisory lock of the one process that reads, for as long as the connection lives."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext('sentineliq.trends'))"
    ).fetchone()
    return row is not None and bool(row[0])


def check_connection(connection: psycopg.Connection) -> None:
    """Ask the database for an answer.

    Raises:
        psycopg.Error: the connection is lost, and with it the lock.
    """
    connection.execute("SELECT 1")
