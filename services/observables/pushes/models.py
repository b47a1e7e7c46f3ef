"""The table of pushes, and its rows."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.observables.pushes.targets.base import PushedObject

_MOMENT: Final = sa.DateTime(timezone=True)
_ID: Final = pg.UUID(as_uuid=True)

PUSH: Final = sa.Table(
    "push",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("collection_id", _ID),
    sa.Column("kind", sa.Text),
    sa.Column("config", pg.JSONB),
    sa.Column("credentials", sa.LargeBinary),
    sa.Column("enabled", sa.Boolean),
    sa.Column("begun_number", sa.BigInteger),
    sa.Column("pushed_added", _MOMENT),
    sa.Column("pushed_number", sa.BigInteger),
    sa.Column("pushed_count", sa.BigInteger),
    sa.Column("refused_count", sa.BigInteger),
    sa.Column("refusal", sa.Text),
    sa.Column("pushed_at", _MOMENT),
    sa.Column("state", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("holder", _ID),
    sa.Column("lease_until", _MOMENT),
    sa.Column("next_attempt_at", _MOMENT),
    sa.Column("error", pg.JSONB),
    sa.Column("created_at", _MOMENT),
    sa.Column("created_by", sa.Text),
)


class PushRow(NamedTuple):
    """A push; the fields are columns.

    Attributes:
        kind: the name of its target's plug-in.
        config: what the push says of its target.
        credentials: sealed; None if there are none.
        begun_number: the number of the collection's newest object when the push began. What was
            revoked by then is not sent: the target never had it.
        pushed_added, pushed_number: the place in the collection up to which the target has it.
        pushed_count: objects that the target has taken, repetitions among them.
        refused_count: objects that it did not take.
        refusal: why it did not take the last of them.
        pushed_at: when it has taken something for the last time.
        attempts: since the last success.
        error: why the last attempt failed; None after a success.
    """

    tenant: str
    id: UUID
    name: str
    collection_id: UUID
    kind: str
    config: dict[str, Any]
    credentials: bytes | None
    enabled: bool
    begun_number: int
    pushed_added: datetime | None
    pushed_number: int
    pushed_count: int
    refused_count: int
    refusal: str
    pushed_at: datetime | None
    state: str
    attempts: int
    holder: UUID | None
    lease_until: datetime | None
    next_attempt_at: datetime | None
    error: dict[str, Any] | None
    created_at: datetime
    created_by: str


class PushBatch(NamedTuple):
    """What is sent at once.

    Attributes:
        objects: in the order of the collection.
        added, number: the place in the collection that the target has reached with them.
        is_last: whether nothing follows.
    """

    objects: list[PushedObject]
    added: datetime | None
    number: int
    is_last: bool
