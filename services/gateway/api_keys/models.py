"""The table of API keys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.auth import Role

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

API_KEY = sa.Table(
    "api_key",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("name", sa.Text),
    sa.Column("person_id", _ID),
    sa.Column("role", sa.Text),
    sa.Column("scopes", pg.ARRAY(sa.Text)),
    sa.Column("networks", pg.ARRAY(sa.Text)),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("expires_at", _TIME),
    sa.Column("used_at", _TIME),
    sa.Column("used_from", sa.Text),
    sa.Column("revoked_at", _TIME),
    sa.Column("revoked_by", sa.Text),
    sa.Column("successor", sa.Text),
)


@dataclass(frozen=True, slots=True)
class StoredApiKey:
    """An API key; its secret is stored nowhere.

    Attributes:
        scopes: the permissions that it is for; None: all that its role has.
        networks: where it may be used; empty: everywhere.
        successor: the key that replaces it.
    """

    id: str
    tenant: str
    name: str
    person_id: UUID
    role_name: str
    scopes: list[str] | None
    networks: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    used_from: str | None
    revoked_at: datetime | None
    successor: str | None

    @property
    def role(self) -> Role:
        """The highest role that it has."""
        return Role[self.role_name]
