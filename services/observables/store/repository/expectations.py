"""SQL of expectations: what a run published, and how much of it is applied."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import driver_connection


class DueExpectation(NamedTuple):
    """An expectation that has to be checked.

    Attributes:
        age: time since the end of the run was received.
    """

    tenant: str
    run_id: UUID
    age: timedelta


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a run published.

    Attributes:
        chunks: the number of its chunks, by bucket.
        is_full: whether they are a full statement.
        news: how many of its indicators are new or have changed, as the feed knows.
        reminders: how often chunks were reported missing.
        age: time since the end of the run was received.
    """

    source_id: UUID
    chunks: dict[int, int]
    is_full: bool
    news: int
    reminders: int
    age: timedelta


class AppliedBucket(NamedTuple):
    """What is applied of a run in one bucket.

    Attributes:
        stated: the number of chunks that its full statement has; 0 if it has none.
        altered: assertions that its chunks changed.
        corrected: assertions that its full statement retracted.
        idle: time since the last chunk.
    """

    bucket: int
    chunks: int
    stated: int
    received: int
    rejected: int
    altered: int
    corrected: int
    idle: timedelta


_EXPECT: Final = sa.text(
    "INSERT INTO run_expectation "
    "(tenant, run_id, source_id, chunks, is_full, news, state, check_at) "
    "VALUES (:tenant, :run, :source, CAST(:chunks AS jsonb), :is_full, :news, 'waiting', "
    "now() + :pause) ON CONFLICT DO NOTHING"
)
_LOCK: Final = """
SELECT source_id, chunks::text, is_full, news, reminders, now() - received_at FROM run_expectation
WHERE tenant = %(tenant)s AND run_id = %(run)s AND state <> 'applied' FOR UPDATE"""
# Notes that migration 0010 moved are no chunks.
_APPLIED: Final = """
SELECT bucket, count(*), coalesce(max(statement_chunks), 0), sum(received), sum(rejected),
    sum(altered), coalesce(sum(corrected), 0), now() - max(handled_at)
FROM run_chunk WHERE tenant = %(tenant)s AND run_id = %(run)s AND chunk >= 0 GROUP BY bucket"""
_DUE: Final = sa.text(
    "SELECT tenant, run_id, now() - received_at FROM run_expectation WHERE check_at <= now() "
    "ORDER BY check_at LIMIT :limit"
)
_FULFIL: Final = sa.text(
    "UPDATE run_expectation SET state = 'applied', check_at = NULL, applied_at = now() "
    "WHERE tenant = :tenant AND run_id = :run"
)
_POSTPONE: Final = sa.text(
    "UPDATE run_expectation SET check_at = now() + :pause WHERE tenant = :tenant AND run_id = :run"
)
_REMIND: Final = sa.text(
    "UPDATE run_expectation SET state = 'incomplete', reminders = reminders + 1, "
    "check_at = now() + :pause WHERE tenant = :tenant AND run_id = :run"
)


def expect_chunks(
    session: Session, tenant: str, run_id: UUID, expectation: Expectation, pause: timedelta
) -> None:
    """Store what a run published, once; it is checked after a pause."""
    row = {
        "tenant": tenant,
        "run": run_id,
        "source": expectation.source_id,
        "chunks": msgspec.json.encode(expectation.chunks).decode(),
        "is_full": expectation.is_full,
        "news": expectation.news,
        "pause": pause,
    }
    session.execute(_EXPECT, row)


def lock_expectation(session: Session, tenant: str, run_id: UUID) -> Expectation | None:
    """What a run published, locked until the transaction ends; None unless it is waited for.

    Whoever counts its chunks locks it first: of two transactions that apply the last ones, the
    second then sees those of the first.
    """
    with driver_connection(session).cursor() as cursor:
        row = cursor.execute(_LOCK, {"tenant": tenant, "run": run_id}).fetchone()
    if row is None:
        return None
    source_id, chunks, is_full, news, reminders, age = row
    decoded = msgspec.json.decode(chunks, type=dict[int, int])
    return Expectation(source_id, decoded, is_full, news, reminders, age)


def applied_buckets(session: Session, tenant: str, run_id: UUID) -> list[AppliedBucket]:
    """What is applied of a run, by bucket."""
    with driver_connection(session).cursor() as cursor:
        rows = cursor.execute(_APPLIED, {"tenant": tenant, "run": run_id}).fetchall()
    return [AppliedBucket._make(row) for row in rows]


def due_expectations(session: Session, limit: int) -> list[DueExpectation]:
    """Expectations that have to be checked, the longest due first."""
    return [DueExpectation._make(row) for row in session.execute(_DUE, {"limit": limit})]


def fulfil(session: Session, tenant: str, run_id: UUID) -> None:
    """Record that all chunks of a run are applied."""
    session.execute(_FULFIL, {"tenant": tenant, "run": run_id})


def postpone_check(session: Session, tenant: str, run_id: UUID, pause: timedelta) -> None:
    """Check a run again after a pause."""
    session.execute(_POSTPONE, {"tenant": tenant, "run": run_id, "pause": pause})


def record_reminder(session: Session, tenant: str, run_id: UUID, pause: timedelta | None) -> None:
    """Record that chunks were reported missing; None: the sweep does not check again."""
    session.execute(_REMIND, {"tenant": tenant, "run": run_id, "pause": pause})
