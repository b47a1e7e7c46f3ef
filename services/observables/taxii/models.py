"""The tables of collections, and the rows that the repositories return."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA: Final = sa.MetaData()
_MOMENT: Final = sa.DateTime(timezone=True)
_ID: Final = pg.UUID(as_uuid=True)

COLLECTION: Final = sa.Table(
    "collection",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("title", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("list_id", _ID),
    sa.Column("is_writable", sa.Boolean),
    sa.Column("tlp", sa.Text),
    sa.Column("has_empty_list", sa.Boolean),
    sa.Column("last_number", sa.BigInteger),
    sa.Column("last_added", _MOMENT),
    sa.Column("last_share", sa.SmallInteger),
    sa.Column("object_count", sa.BigInteger),
    sa.Column("list_cursor", sa.BigInteger),
    sa.Column("created_at", _MOMENT),
    sa.Column("created_by", sa.Text),
)
COLLECTION_OBJECT: Final = sa.Table(
    "collection_object",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("collection_id", _ID, primary_key=True),
    sa.Column("object_id", sa.Text, primary_key=True),
    sa.Column("version", _MOMENT, primary_key=True),
    sa.Column("number", sa.BigInteger),
    sa.Column("date_added", _MOMENT),
    sa.Column("type", sa.Text),
    sa.Column("spec_version", sa.Text),
    sa.Column("is_first", sa.Boolean),
    sa.Column("is_last", sa.Boolean),
    sa.Column("is_revoked", sa.Boolean),
    sa.Column("payload", sa.LargeBinary),
)
COLLECTION_MEMBER: Final = sa.Table(
    "collection_member",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("collection_id", _ID, primary_key=True),
    sa.Column("observable_id", _ID, primary_key=True),
    sa.Column("object_id", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("score", sa.SmallInteger),
    sa.Column("marking", sa.Text),
    sa.Column("created", _MOMENT),
)
COLLECTION_POST: Final = sa.Table(
    "collection_post",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("collection_id", _ID),
    sa.Column("actor", sa.Text),
    sa.Column("total", sa.Integer),
    sa.Column("requested_at", _MOMENT),
    sa.Column("finished_at", _MOMENT),
)
POSTED_OBJECT: Final = sa.Table(
    "posted_object",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("post_id", _ID, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("object_id", sa.Text),
    sa.Column("version", _MOMENT),
    sa.Column("type", sa.Text),
    sa.Column("spec_version", sa.Text),
    sa.Column("is_revoked", sa.Boolean),
    sa.Column("state", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("payload", sa.LargeBinary),
)


class CollectionRow(NamedTuple):
    """A collection; the fields are columns.

    Attributes:
        list_id: the list that fills it; None of a collection of its own.
        tlp: the strictest marking of an object in it.
        has_empty_list: an envelope without objects has an empty list of them, for clients that
            need one.
        last_added: when its newest object was added.
        last_share: how many of its objects share that moment.
        object_count: objects in it, each version counts.
        list_cursor: the number of the list's change up to which the collection follows it.
    """

    tenant: str
    id: UUID
    title: str
    description: str
    list_id: UUID | None
    is_writable: bool
    tlp: str
    has_empty_list: bool
    last_number: int
    last_added: datetime | None
    last_share: int
    object_count: int
    list_cursor: int
    created_at: datetime
    created_by: str


class NewObject(NamedTuple):
    """An object on its way into a collection.

    Attributes:
        version: `modified`, or `created` of what has none; None of what has neither: it is the
            moment of its addition.
        payload: the object as JSON.
    """

    object_id: str
    version: datetime | None
    type: str
    spec_version: str
    is_revoked: bool
    payload: bytes


class MemberRow(NamedTuple):
    """What a list has in a collection; the fields are columns.

    Attributes:
        object_id: of the indicator that stands for the observable now.
        score: of the observable when it joined the list.
        marking: of the indicator, a level of TLP.
        created: the time of the indicator's first version.
    """

    observable_id: UUID
    object_id: str
    type: str
    value: str
    score: int
    marking: str
    created: datetime


class ManifestRow(NamedTuple):
    """An object's record in a manifest."""

    object_id: str
    date_added: datetime
    version: datetime
    spec_version: str
    number: int


class PostRow(NamedTuple):
    """A document that was posted into a collection."""

    id: UUID
    collection_id: UUID
    actor: str
    total: int
    requested_at: datetime
    finished_at: datetime | None


class PostedRow(NamedTuple):
    """One object of a posted document, without its content.

    Attributes:
        state: `pending`, `success` or `failure`.
        message: why it failed, or what is remarkable.
    """

    object_id: str
    version: datetime | None
    state: str
    message: str
