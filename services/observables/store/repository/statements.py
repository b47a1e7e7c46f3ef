"""SQL of full statements: which are complete, what they leave out, and how new they are."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import driver_connection
from shared.stix.ids import bucket_range


class CompleteStatement(NamedTuple):
    """A bucket of a run whose chunks are all applied, and the earliest time of their run.

    The time of one run differs between chunks only if its clock is far ahead (`run_time`).
    """

    bucket: int
    observed_at: datetime


class BucketCounts(NamedTuple):
    """What a full statement did in a bucket: assertions retracted, changes published."""

    bucket: int
    retracted: int
    changes: int


_COMPLETE: Final = """
SELECT ending.bucket, min(chunk.observed_at)
FROM run_chunk ending JOIN run_chunk chunk USING (tenant, run_id, bucket)
WHERE ending.tenant = %(tenant)s AND ending.run_id = %(run)s AND ending.bucket = ANY(%(buckets)s)
    AND ending.statement_chunks IS NOT NULL AND ending.corrected IS NULL
    AND chunk.chunk >= 0 AND chunk.chunk < ending.statement_chunks
GROUP BY ending.bucket, ending.statement_chunks HAVING count(*) = ending.statement_chunks"""
# A bucket is a range of the primary key, whose index also has the source.
_LISTED_BEFORE: Final = """
SELECT observable_id::text FROM assertion
WHERE tenant = %(tenant)s AND source_id = %(source)s AND retracted_at IS NULL
    AND observable_id BETWEEN %(first)s::uuid AND %(last)s::uuid AND observed_at < %(observed_at)s
ORDER BY observable_id"""
_CLOSE: Final = sa.text(
    "UPDATE run_chunk SET corrected = :retracted, changed = changed + :changes "
    "WHERE tenant = :tenant AND run_id = :run AND bucket = :bucket "
    "AND statement_chunks IS NOT NULL AND corrected IS NULL"
)
_RECORD: Final = sa.text(
    "INSERT INTO full_statement AS stored (tenant, source_id, bucket, run_id, observed_at) "
    "VALUES (:tenant, :source, :bucket, :run, :observed_at) "
    "ON CONFLICT (tenant, source_id, bucket) DO UPDATE SET run_id = excluded.run_id, "
    "observed_at = excluded.observed_at, applied_at = now() "
    "WHERE stored.observed_at < excluded.observed_at"
)
_LATER: Final = """
SELECT bucket, observed_at FROM full_statement
WHERE tenant = %(tenant)s AND source_id = %(source)s AND observed_at > %(observed_at)s"""


def complete_statements(
    session: Session, tenant: str, run_id: UUID, buckets: Iterable[int]
) -> list[CompleteStatement]:
    """Full statements of a run that have become complete in some of its buckets."""
    arguments = {"tenant": tenant, "run": run_id, "buckets": list(buckets)}
    with driver_connection(session).cursor() as cursor:
        rows = cursor.execute(_COMPLETE, arguments).fetchall()
    return sorted(CompleteStatement._make(row) for row in rows)


def ids_listed_before(
    session: Session, tenant: str, source: str, bucket: int, observed_at: datetime
) -> list[str]:
    """Observables of a bucket that a source asserts, and has not asserted again since a moment."""
    first, last = bucket_range(bucket)
    arguments = {
        "tenant": tenant,
        "source": source,
        "first": first,
        "last": last,
        "observed_at": observed_at,
    }
    with driver_connection(session).cursor(binary=True) as cursor:
        return [row[0] for row in cursor.execute(_LISTED_BEFORE, arguments)]


def close_statements(
    session: Session, tenant: str, run_id: UUID, counts: Sequence[BucketCounts]
) -> None:
    """Record that full statements have retracted what they leave out."""
    rows = [{"tenant": tenant, "run": run_id, **count._asdict()} for count in counts]
    session.execute(_CLOSE, rows)


def record_statement(
    session: Session, tenant: str, source: str, run_id: UUID, statement: CompleteStatement
) -> None:
    """Record the newest full statement of a source in a bucket; an older one changes nothing."""
    row = {"tenant": tenant, "source": source, "run": run_id, **statement._asdict()}
    session.execute(_RECORD, row)


def later_statements(
    session: Session, tenant: str, source: str, observed_at: datetime
) -> dict[int, datetime]:
    """The times of a source's full statements that are newer than a moment, by bucket."""
    arguments = {"tenant": tenant, "source": source, "observed_at": observed_at}
    with driver_connection(session).cursor() as cursor:
        return dict(cursor.execute(_LATER, arguments).fetchall())
