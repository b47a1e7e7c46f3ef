"""SQL of feeds."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.feeds.subscriptions.models import FEED, Feed, FeedColumns, Quarantine
from shared.crypto import places_of
from shared.errors import Conflict, NotFound
from shared.http.guard import origin_of
from shared.pagination import Page, paginate
from shared.sealed_rows import SealedColumn

_NOW: Final = sa.func.now()
_DECIDING: Final = (
    "name",
    "url",
    "format",
    "options",
    "confidence",
    "reliability",
    "tlp",
    "tags",
    "collector",
    "collector_options",
    "kind",
)
"""Settings that decide what is fetched, and what is said of it."""

CREDENTIALS: Final = SealedColumn(
    FEED, "secret", ("id",), lambda row: places_of(str(row.id), origin_of(row.url))
)


def insert_feed(
    session: Session,
    values: FeedColumns,
    *,
    tenant: str,
    actor: str,
    feed_id: UUID | None = None,
    is_due: bool = False,
) -> Feed:
    """Add a feed.

    Args:
        session: of the tenant.
        values: at least all settings.
        tenant: the feed's.
        actor: creates it.
        feed_id: its id, where that is needed beforehand.
        is_due: whether it is fetched at once.

    Raises:
        Conflict: the tenant has a feed of that name.
    """
    row = {**values, "id": feed_id or uuid4(), "tenant": tenant, "created_by": actor}
    if is_due:
        row["next_run_at"] = _NOW
    try:
        with session.begin_nested():
            statement = sa.insert(FEED).values(**row).returning(FEED)
            return feed_of(session.execute(statement).one())
    except IntegrityError as error:
        raise Conflict(
            f"There is a feed named {values['name']!r} already.", field="name"
        ) from error


def get_feed(session: Session, feed_id: UUID) -> Feed:
    """A feed of the tenant, or a public one.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(sa.select(FEED).where(FEED.c.id == feed_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id}.")
    return feed_of(row)


def get_own_feed(session: Session, tenant: str, feed_id: UUID) -> Feed:
    """A feed that the tenant itself runs.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    feed = find_own_feed(session, tenant, feed_id)
    if feed is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may change.")
    return feed


def find_own_feed(session: Session, tenant: str, feed_id: UUID) -> Feed | None:
    """A feed that the tenant itself runs; None if it has no such."""
    row = session.execute(sa.select(FEED).where(_is_own(tenant, feed_id))).one_or_none()
    return None if row is None else feed_of(row)


def lock_own_feed(session: Session, tenant: str, feed_id: UUID) -> Feed:
    """A feed that the tenant itself runs, locked until the transaction ends.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    query = sa.select(FEED).where(_is_own(tenant, feed_id)).with_for_update()
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may change.")
    return feed_of(row)


def lock_feed_by_name(session: Session, tenant: str, name: str) -> Feed | None:
    """The tenant's own feed of a name, locked, so that two uploads do not make two."""
    query = sa.select(FEED).where(FEED.c.tenant == tenant, FEED.c.name == name).with_for_update()
    row = session.execute(query).one_or_none()
    return None if row is None else feed_of(row)


def list_feeds(session: Session, after: UUID | None, limit: int) -> Page[Feed]:
    """Feeds in the order of their ids."""
    query = sa.select(FEED).order_by(FEED.c.id).limit(limit + 1)
    if after is not None:
        query = query.where(FEED.c.id > after)
    feeds = [feed_of(row) for row in session.execute(query)]
    return paginate(feeds, limit, lambda feed: (feed.id,))


def has_many_tenants(session: Session) -> bool:
    """Whether more than one tenant has feeds; the session is the platform's."""
    query = sa.select(sa.func.min(FEED.c.tenant) != sa.func.max(FEED.c.tenant))
    return bool(session.scalar(query))


def update_feed(
    session: Session, tenant: str, feed_id: UUID, values: FeedColumns, *, is_due: bool = False
) -> Feed:
    """Change a feed of the tenant.

    The feed's revision grows if a setting changes that decides what the feed says: a run that
    began with the old one does not move the feed then.

    Args:
        session: of the tenant, or of the platform.
        tenant: the feed's.
        feed_id: the feed.
        values: the columns that change.
        is_due: whether its next fetch is now.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    changes: dict[str, Any] = {**values}
    if is_due:
        changes["next_run_at"] = _NOW
    differences = [
        FEED.c[name].is_distinct_from(changes[name]) for name in _DECIDING if name in changes
    ]
    if differences:
        changes["revision"] = FEED.c.revision + sa.case((sa.or_(*differences), 1), else_=0)
    statement = sa.update(FEED).where(_is_own(tenant, feed_id)).values(**changes).returning(FEED)
    row = session.execute(statement).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may change.")
    return feed_of(row)


def lock_feed(session: Session, feed_id: UUID) -> Feed:
    """A feed, locked until the transaction ends: what orders its runs happens one at a time.

    Raises:
        NotFound: there is none.
    """
    query = sa.select(FEED).where(FEED.c.id == feed_id).with_for_update(key_share=True)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no feed {feed_id}.")
    return feed_of(row)


def move_feed(session: Session, feed: Feed, values: FeedColumns) -> Feed | None:
    """Write the progress of a run, if the feed is still at the revision that the run noted.

    Returns:
        The feed as it stands then; None when another run or a person has moved it.
    """
    is_same = sa.and_(_is_own(feed.tenant, feed.id), FEED.c.revision == feed.revision)
    changes: dict[str, Any] = {**values, "revision": FEED.c.revision + 1}
    statement = sa.update(FEED).where(is_same).values(**changes).returning(FEED)
    row = session.execute(statement).one_or_none()
    return None if row is None else feed_of(row)


def advance_moment(session: Session, feed_id: UUID) -> datetime:
    """Let the feed's moment be now, and in any case later than it was; the new moment.

    The caller has locked the feed.
    """
    later = sa.func.greatest(_NOW, FEED.c.observed_at + sa.text("interval '1 microsecond'"))
    statement = sa.update(FEED).where(FEED.c.id == feed_id).values(observed_at=later)
    moment: datetime = session.execute(statement.returning(FEED.c.observed_at)).scalar_one()
    return moment


def postpone_check(session: Session, feed_id: UUID, days: int) -> None:
    """Let the feed's next check be due in so many days."""
    later = _NOW + sa.func.make_interval(0, 0, 0, days)
    session.execute(sa.update(FEED).where(FEED.c.id == feed_id).values(check_at=later))


def spread_checks(session: Session, days: int) -> None:
    """Give each feed that has none a time of its first check within so many days, by its id."""
    share = sa.func.abs(sa.func.hashtext(sa.cast(FEED.c.id, sa.Text))) / 2147483648.0
    later = _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, share * days * 86400)
    session.execute(sa.update(FEED).where(FEED.c.check_at.is_(None)).values(check_at=later))


def delete_feed(session: Session, tenant: str, feed_id: UUID) -> None:
    """Remove a feed of the tenant and its runs.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    statement = sa.delete(FEED).where(_is_own(tenant, feed_id)).returning(FEED.c.id)
    if session.execute(statement).one_or_none() is None:
        raise NotFound(f"There is no feed {feed_id} that this tenant may delete.")


def list_scheduled_feeds(session: Session, after: UUID | None, limit: int) -> list[Feed]:
    """Feeds that are fetched on a schedule, in the order of their ids."""
    query = (
        sa.select(FEED)
        .where(FEED.c.enabled, FEED.c.every_seconds.is_not(None))
        .order_by(FEED.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(FEED.c.id > after)
    return [feed_of(row) for row in session.execute(query)]


def list_snapshot_files(session: Session) -> set[str]:
    """The file of each feed's snapshot, as `<feed id>/<name>`."""
    query = sa.select(FEED.c.id, FEED.c.snapshot).where(FEED.c.snapshot.is_not(None))
    return {f"{feed_id}/{name}" for feed_id, name in session.execute(query)}


def feed_of(row: sa.Row[Any]) -> Feed:
    """The feed of a row that has all columns."""
    values: dict[str, Any] = dict(zip(FEED.c.keys(), row, strict=True))
    values["quarantine"] = Quarantine.from_stored(values["quarantine"])
    return Feed(**values)


def _is_own(tenant: str, feed_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(FEED.c.id == feed_id, FEED.c.tenant == tenant)
