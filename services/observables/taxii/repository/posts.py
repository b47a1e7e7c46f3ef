"""SQL of posted documents: what waits, what became of it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.taxii.models import COLLECTION_POST, POSTED_OBJECT, PostedRow, PostRow

_POST: Final = tuple(COLLECTION_POST.c[name] for name in PostRow._fields)
_INSERT: Final = sa.text(
    "INSERT INTO posted_object (tenant, post_id, place, object_id, version, type, spec_version, "
    "is_revoked, state, message, payload) SELECT :tenant, :post, new.* "
    "FROM unnest(CAST(:places AS integer[]), CAST(:ids AS text[]), "
    "CAST(:versions AS timestamptz[]), CAST(:types AS text[]), CAST(:specs AS text[]), "
    "CAST(:revoked AS boolean[]), CAST(:states AS text[]), CAST(:messages AS text[]), "
    "CAST(:payloads AS bytea[])) AS new"
)
_COLUMNS: Final = (
    "places",
    "ids",
    "versions",
    "types",
    "specs",
    "revoked",
    "states",
    "messages",
    "payloads",
)
_BATCH: Final = 2_000
_WAITING: Final = sa.text(
    "SELECT place, object_id, version, type, spec_version, is_revoked, payload FROM posted_object "
    "WHERE post_id = :post AND state = 'pending' ORDER BY place LIMIT :most"
)
_SETTLE: Final = sa.text(
    "UPDATE posted_object SET state = 'success', payload = NULL "
    "WHERE post_id = :post AND place = ANY(:places)"
)
_FINISH: Final = sa.text(
    "UPDATE collection_post SET finished_at = now() WHERE id = :post AND finished_at IS NULL"
)
_OPEN: Final = sa.text(
    "SELECT tenant, id FROM collection_post WHERE finished_at IS NULL "
    "AND requested_at < now() - make_interval(secs => :seconds) ORDER BY requested_at LIMIT :most"
)


class WaitingObject(NamedTuple):
    """A posted object that is not in its collection yet; the fields are columns."""

    place: int
    object_id: str
    version: Any
    type: str
    spec_version: str
    is_revoked: bool
    payload: bytes


def add_post(session: Session, tenant: str, post: PostRow, rows: Sequence[tuple[Any, ...]]) -> None:
    """Store a document with its objects.

    Args:
        session: the transaction.
        tenant: whose it is.
        post: the document.
        rows: place, id, version, type, version of STIX, whether revoked, state, message and
            content of each object.
    """
    values = {"tenant": tenant, **post._asdict()}
    values.pop("requested_at")
    session.execute(sa.insert(COLLECTION_POST).values(**values))
    for start in range(0, len(rows), _BATCH):
        columns = zip(*rows[start : start + _BATCH], strict=True)
        parameters = dict(zip(_COLUMNS, map(list, columns), strict=True))
        session.execute(_INSERT, {"tenant": tenant, "post": post.id, **parameters})


def lock_post(session: Session, tenant: str, post: UUID) -> PostRow | None:
    """A document that is not finished, locked; None if there is none, or another has the lock."""
    query = (
        sa.select(*_POST)
        .where(COLLECTION_POST.c.tenant == tenant, COLLECTION_POST.c.id == post)
        .where(COLLECTION_POST.c.finished_at.is_(None))
        .with_for_update(skip_locked=True)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else PostRow(*row)


def take_waiting(session: Session, post: UUID, most: int) -> list[WaitingObject]:
    """The next objects of a document that wait."""
    rows = session.execute(_WAITING, {"post": post, "most": most})
    return [WaitingObject(*row) for row in rows]


def settle(session: Session, post: UUID, places: Sequence[int]) -> None:
    """Note that objects of a document are in their collection."""
    session.execute(_SETTLE, {"post": post, "places": list(places)})


def finish(session: Session, post: UUID) -> None:
    """Note that nothing of a document waits any more."""
    session.execute(_FINISH, {"post": post})


def get_post(session: Session, tenant: str, post: UUID) -> tuple[PostRow, list[PostedRow]] | None:
    """A document with what became of its objects; None if the tenant has no such."""
    query = sa.select(*_POST).where(
        COLLECTION_POST.c.tenant == tenant, COLLECTION_POST.c.id == post
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    columns = tuple(POSTED_OBJECT.c[name] for name in PostedRow._fields)
    posted = sa.select(*columns).where(POSTED_OBJECT.c.post_id == post)
    states = session.execute(posted.order_by(POSTED_OBJECT.c.place))
    return PostRow(*row), [PostedRow(*state) for state in states]


def list_open(session: Session, seconds: float, most: int) -> list[tuple[str, UUID]]:
    """Tenant and id of documents that wait for some time; the transaction is the platform's."""
    rows = session.execute(_OPEN, {"seconds": seconds, "most": most})
    return [(row.tenant, row.id) for row in rows]
