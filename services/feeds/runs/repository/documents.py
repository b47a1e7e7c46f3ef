"""SQL of the documents that a feed has said, by the runs that published them."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.feeds.runs.models import PUBLISHED_STATES, RESTORABLE_DAYS, RUN


class PublishedDocument(NamedTuple):
    """A document of a feed, and the newest run that published it or took it back.

    Attributes:
        is_retracted: whether that run took it back.
        is_restorable: whether it may be restored still.
    """

    payload: str
    file_name: str | None
    run_id: UUID
    is_retracted: bool
    is_restorable: bool


def published_documents(session: Session, feed_id: UUID) -> list[PublishedDocument]:
    """All documents of a feed whose runs are kept, the newest first."""
    newest = (
        sa.select(
            RUN.c.payload,
            RUN.c.file_name,
            RUN.c.id,
            RUN.c.input,
            RUN.c.queued_at,
            RUN.c.finished_at,
        )
        .where(
            RUN.c.feed_id == feed_id, RUN.c.payload.is_not(None), RUN.c.state.in_(PUBLISHED_STATES)
        )
        .ext(pg.distinct_on(RUN.c.payload))
        .order_by(RUN.c.payload, RUN.c.queued_at.desc(), RUN.c.id.desc())
        .subquery()
    )
    is_young = newest.c.finished_at > sa.func.now() - timedelta(days=RESTORABLE_DAYS)
    query = sa.select(
        newest.c.payload,
        newest.c.file_name,
        newest.c.id,
        newest.c.input == "retraction",
        sa.func.coalesce(is_young, sa.false()),
    ).order_by(newest.c.queued_at.desc())
    return [PublishedDocument._make(row) for row in session.execute(query)]
