"""The tables of identity providers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

PROVIDER = sa.Table(
    "provider",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("issuer", sa.Text),
    sa.Column("client_id", sa.Text),
    sa.Column("client_secret", sa.LargeBinary),
    sa.Column("algorithms", pg.ARRAY(sa.Text)),
    sa.Column("scopes", pg.ARRAY(sa.Text)),
    sa.Column("rules", pg.JSONB),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
)

PROVIDER_REQUEST = sa.Table(
    "provider_request",
    sa.MetaData(),
    sa.Column("state", sa.LargeBinary, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("provider_id", _ID),
    sa.Column("browser", sa.LargeBinary),
    sa.Column("nonce", sa.Text),
    sa.Column("verifier", sa.Text),
    sa.Column("next", sa.Text),
    sa.Column("expires_at", _TIME),
)
"""A sign-in under way. `state` and `browser` are digests of what the browser carries."""

IDENTITY = sa.Table(
    "identity",
    sa.MetaData(),
    sa.Column("provider_id", _ID, primary_key=True),
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("person_id", _ID),
    sa.Column("claims", pg.JSONB),
    sa.Column("outcomes", pg.JSONB),
    sa.Column("role", sa.Text),
    sa.Column("seen_at", _TIME),
)
"""Who a provider says that a person is: by issuer and subject, never by a mail address."""


@dataclass(frozen=True, slots=True)
class StoredProvider:
    """A provider of a tenant; its secret is sealed."""

    id: UUID
    tenant: str
    name: str
    issuer: str
    client_id: str
    client_secret: bytes | None
    algorithms: list[str]
    scopes: list[str]
    rules: list[dict[str, Any]]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A sign-in under way at a provider."""

    provider_id: UUID
    browser: bytes
    nonce: str
    verifier: str
    next: str


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """What a provider said of a person at the last sign-in, and what followed from it."""

    provider_id: UUID
    issuer: str
    subject: str
    person_id: UUID
    claims: dict[str, Any]
    outcomes: list[dict[str, Any]]
    role: str | None
    seen_at: datetime


def place_of_secret(provider_id: UUID) -> str:
    """Return the place that the secret of a provider is sealed for, beside its issuer."""
    return f"provider {provider_id}"
