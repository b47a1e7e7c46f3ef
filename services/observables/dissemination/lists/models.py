"""The tables of lists, their entries and changes, and the rows that queries return."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA: Final = sa.MetaData()
_TIME: Final = sa.DateTime(timezone=True)
_UUID: Final = pg.UUID(as_uuid=True)

LIST: Final = sa.Table(
    "dissemination_list",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", _UUID, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("filter", sa.Text),
    sa.Column("order_by", sa.Text),
    sa.Column("capacity", sa.Integer),
    sa.Column("profile", sa.Text),
    sa.Column("tlp_ceiling", sa.Text),
    sa.Column("grace_seconds", sa.Integer),
    sa.Column("max_growth", sa.Integer),
    sa.Column("max_shrink", sa.Integer),
    sa.Column("format_options", pg.JSONB),
    sa.Column("is_collection", sa.Boolean),
    sa.Column("state", sa.Text),
    sa.Column("held_reason", sa.Text),
    sa.Column("held_at", _TIME),
    sa.Column("last_change_number", sa.BigInteger),
    sa.Column("published_number", sa.BigInteger),
    sa.Column("members", sa.Integer),
    sa.Column("baseline", sa.Integer),
    sa.Column("baseline_at", _TIME),
    sa.Column("revision", sa.BigInteger),
    sa.Column("filled_revision", sa.BigInteger),
    sa.Column("fill_error", sa.Text),
    sa.Column("fill_failures", sa.Integer),
    sa.Column("failed_revision", sa.BigInteger),
    sa.Column("fill_again_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("updated_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("strict_sources", sa.Text),
)
ENTRY: Final = sa.Table(
    "list_entry",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("list_id", _UUID, primary_key=True),
    sa.Column("observable_id", _UUID, primary_key=True),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("score", sa.SmallInteger),
    sa.Column("refused_by", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.Column("joined_at", _TIME),
    sa.Column("leaves_at", _TIME),
    sa.Column("is_dated", sa.Boolean),
)
CHANGE: Final = sa.Table(
    "list_change",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("list_id", _UUID, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("changed_at", _TIME),
    sa.Column("observable_id", _UUID),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("score", sa.SmallInteger),
    sa.Column("reason", sa.Text),
)
PROTECTED: Final = sa.Table(
    "protected_value",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("note", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
)

CAPACITY: Final = "capacity"
"""The refusal of an entry that the list has no room for."""


class ListRow(NamedTuple):
    """A list as it is stored; the fields are columns.

    Attributes:
        filter: in the language of filters, over `LIST_MODEL`.
        order_by: `score` or `value`.
        capacity: the most members; None for any number.
        profile: how wide an entry may be, see `guards`.
        tlp_ceiling: the strictest marking of a member.
        grace_seconds: how long a member stays that matches no more.
        max_growth: per cent over the baseline at which the list is stopped; None for any growth.
        max_shrink: per cent below the baseline at which it is stopped; None for any loss.
        format_options: by the name of a format.
        state: `active` or `held`; nothing leaves a list that is held.
        last_change_number: of the newest change.
        published_number: of the newest change that may leave.
        members: how many there are at `last_change_number`.
        baseline: how many there were when the list was last judged normal.
        revision: grows when the list is edited.
        filled_revision: the revision that the members were last selected for, over all observables.
        fill_error: why that failed.
        fill_again_at: when it is tried again that failed, unless the list is edited before.
    """

    tenant: str
    id: UUID
    name: str
    description: str
    filter: str
    order_by: str
    capacity: int | None
    profile: str
    tlp_ceiling: str
    grace_seconds: int
    max_growth: int | None
    max_shrink: int | None
    format_options: Mapping[str, Any]
    is_collection: bool
    state: str
    held_reason: str
    held_at: datetime | None
    last_change_number: int
    published_number: int
    members: int
    baseline: int
    baseline_at: datetime
    revision: int
    filled_revision: int
    fill_error: str
    fill_again_at: datetime | None
    created_at: datetime
    updated_at: datetime
    created_by: str


class EntryRow(NamedTuple):
    """What a list has to do with an observable: a member, or refused; the fields are columns.

    Attributes:
        refused_by: the guard, or `capacity`; None of a member.
        number: of the change by which a member joined.
        joined_at: since when it is a member, or refused.
        leaves_at: when its grace ends, or its score fades out of the list; None if it does not.
    """

    observable_id: UUID
    type: str
    value: str
    score: int
    refused_by: str | None
    number: int
    joined_at: datetime
    leaves_at: datetime | None


class ChangeRow(NamedTuple):
    """A member that joined (`in`) or left (`out`); the fields are columns."""

    number: int
    changed_at: datetime
    observable_id: UUID
    type: str
    value: str
    kind: str
    score: int
    reason: str


class ProtectedRow(NamedTuple):
    """A name or network that no list of the tenant may have; the fields are columns."""

    value: str
    note: str
    created_at: datetime
    created_by: str
