"""The tables of people.

A person may belong to several tenants, so that rows about the person alone belong to none: their
tenant is that of the platform, which no tenant can read.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.auth import Role

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

TENANT = sa.Table(
    "tenant",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("title", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("frozen_at", _TIME),
)

PERSON = sa.Table(
    "person",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("login", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("is_break_glass", sa.Boolean),
    sa.Column("created_at", _TIME),
    sa.Column("frozen_at", _TIME),
)

MEMBER = sa.Table(
    "member",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("person_id", _ID, primary_key=True),
    sa.Column("role", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("frozen_at", _TIME),
)
"""`origin` says what the role comes from: an invitation, or the rules of a provider."""

INVITATION = sa.Table(
    "invitation",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("role", sa.Text),
    sa.Column("person_id", _ID),
    sa.Column("login", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("expires_at", _TIME),
    sa.Column("accepted_at", _TIME),
    sa.Column("accepted_by", sa.Text),
    sa.Column("withdrawn_at", _TIME),
)
"""`person_id` is set in an invitation to choose a new password; it changes no role, and `role` is
that of the member who made it."""


@dataclass(frozen=True, slots=True)
class StoredTenant:
    """A tenant."""

    tenant: str
    title: str
    created_at: datetime
    frozen_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A person.

    Attributes:
        login: in lower case; no other person ever has the same.
        is_break_glass: for emergencies alone: each sign-in raises an alert.
        frozen_at: since when the person may do nothing, in any tenant.
    """

    id: UUID
    login: str
    name: str
    is_break_glass: bool
    created_at: datetime
    frozen_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredMember:
    """A person's role in a tenant, with the person's login and name."""

    tenant: str
    person_id: UUID
    role_name: str
    origin: str
    created_at: datetime
    created_by: str
    frozen_at: datetime | None
    login: str
    name: str
    is_person_frozen: bool
    is_tenant_frozen: bool

    @property
    def role(self) -> Role:
        """The role."""
        return Role[self.role_name]

    @property
    def is_active(self) -> bool:
        """Whether the person may act in the tenant at present."""
        return self.frozen_at is None and not self.is_person_frozen and not self.is_tenant_frozen


@dataclass(frozen=True, slots=True)
class StoredInvitation:
    """An invitation; its secret is stored nowhere."""

    id: UUID
    tenant: str
    role_name: str
    person_id: UUID | None
    login: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None
    withdrawn_at: datetime | None

    @property
    def role(self) -> Role:
        """The role that the invited person gets."""
        return Role[self.role_name]

    @property
    def is_reset(self) -> bool:
        """Whether it lets a person who is there already choose a new password."""
        return self.person_id is not None
