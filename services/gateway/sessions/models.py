"""The table of sessions. No tenant reads it: a person's sessions are the person's alone."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

SESSION = sa.Table(
    "session",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("person_id", _ID),
    sa.Column("chosen_tenant", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("methods", pg.ARRAY(sa.Text)),
    sa.Column("provider", sa.Text),
    sa.Column("provider_session", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("agent", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("seen_at", _TIME),
    sa.Column("expires_at", _TIME),
    sa.Column("ended_at", _TIME),
    sa.Column("ended_by", sa.Text),
)
"""`provider_session` is the provider's own id, by which it ends a session (back-channel logout)."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session; its secret is stored nowhere.

    Attributes:
        kind: `browser` or `command-line`.
        methods: what the person has shown: `password`, `code`, `passkey`, a provider.
    """

    id: UUID
    person_id: UUID
    chosen_tenant: str | None
    kind: str
    methods: list[str]
    provider: str | None
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
