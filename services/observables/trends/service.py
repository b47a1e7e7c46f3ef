"""Trends page by page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.observables.trends import repository
from shared.database import Database
from shared.pagination import decode_cursor, encode_cursor


def trends(
    database: Database,
    tenant: str,
    kind: str | None,
    since: datetime | None,
    after: str | None,
    limit: int,
) -> dict[str, Any]:
    """A page of trends, the newest first.

    Raises:
        InvalidInput: `after` is no cursor of such a list.
    """
    newest = decode_cursor(after, tuple[datetime, UUID])
    with database.transaction(tenant) as session:
        rows = [
            dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name
            for row in repository.page(session, since, kind, limit, newest)
        ]
    cursor = None
    if len(rows) == limit:
        cursor = encode_cursor(rows[-1]["announced_at"], rows[-1]["id"])
    return {"items": rows, "next": cursor}
