"""SQL of identity providers."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.gateway.providers.models import (
    IDENTITY,
    PROVIDER,
    PROVIDER_REQUEST,
    StoredIdentity,
    StoredProvider,
    StoredRequest,
    place_of_secret,
)
from shared.crypto import places_of
from shared.errors import Conflict
from shared.sealed_rows import SealedColumn
from shared.tenants import PLATFORM

_IDENTITY: Final = (
    IDENTITY.c.provider_id,
    IDENTITY.c.issuer,
    IDENTITY.c.subject,
    IDENTITY.c.person_id,
    IDENTITY.c.claims,
    IDENTITY.c.outcomes,
    IDENTITY.c.role,
    IDENTITY.c.seen_at,
)
_REQUEST: Final = (
    PROVIDER_REQUEST.c.provider_id,
    PROVIDER_REQUEST.c.browser,
    PROVIDER_REQUEST.c.nonce,
    PROVIDER_REQUEST.c.verifier,
    PROVIDER_REQUEST.c.next,
)
_TEN_MINUTES: Final = sa.text("interval '10 minutes'")

CLIENT_SECRET: Final = SealedColumn(
    PROVIDER,
    "client_secret",
    ("id",),
    lambda row: places_of(place_of_secret(row.id), row.issuer),
)
"""The sealed secrets of providers, each for its issuer."""


def insert_provider(session: Session, **values: Any) -> StoredProvider:
    """Store a provider.

    Raises:
        Conflict: the tenant has one of that name.
    """
    statement = sa.insert(PROVIDER).values(**values).returning(*PROVIDER.c)
    try:
        return StoredProvider(*session.execute(statement).one())
    except IntegrityError as error:
        name = values["name"]
        raise Conflict(f"There is already a provider {name}.", field="name") from error


def find_provider(
    session: Session, provider_id: UUID, *, lock: bool = False
) -> StoredProvider | None:
    """A provider that the transaction may read; with `lock`, nobody deletes it meanwhile."""
    query = sa.select(*PROVIDER.c).where(PROVIDER.c.id == provider_id)
    row = session.execute(query.with_for_update(read=True) if lock else query).one_or_none()
    return None if row is None else StoredProvider(*row)


def list_providers(session: Session, tenant: str) -> list[StoredProvider]:
    """The providers of a tenant, by name."""
    query = sa.select(*PROVIDER.c).where(PROVIDER.c.tenant == tenant).order_by(PROVIDER.c.name)
    return [StoredProvider(*row) for row in session.execute(query)]


def delete_provider(session: Session, tenant: str, provider_id: UUID) -> bool:
    """Delete a provider of a tenant; return whether there was one."""
    place = (PROVIDER.c.id == provider_id, PROVIDER.c.tenant == tenant)
    statement = sa.delete(PROVIDER).where(*place).returning(PROVIDER.c.id)
    return session.execute(statement).one_or_none() is not None


def put_rules(session: Session, provider_id: UUID, rules: list[dict[str, Any]]) -> None:
    """Replace the rules of a provider."""
    statement = sa.update(PROVIDER).where(PROVIDER.c.id == provider_id)
    session.execute(statement.values(rules=rules))


def insert_request(session: Session, **values: Any) -> None:
    """Store a sign-in that has begun; it is valid for ten minutes."""
    expires_at = sa.func.now() + _TEN_MINUTES
    statement = sa.insert(PROVIDER_REQUEST).values(tenant=PLATFORM, expires_at=expires_at, **values)
    session.execute(statement)


def take_request(session: Session, state: bytes) -> StoredRequest | None:
    """A sign-in under way; it is gone after that, whatever becomes of the answer."""
    statement = sa.delete(PROVIDER_REQUEST).where(
        PROVIDER_REQUEST.c.state == state, PROVIDER_REQUEST.c.expires_at > sa.func.now()
    )
    row = session.execute(statement.returning(*_REQUEST)).one_or_none()
    return None if row is None else StoredRequest(*row)


def find_identity(
    session: Session, provider_id: UUID, issuer: str, subject: str
) -> StoredIdentity | None:
    """Who a subject of an issuer is, locked, in a transaction of the platform."""
    query = sa.select(*_IDENTITY).where(
        IDENTITY.c.provider_id == provider_id,
        IDENTITY.c.issuer == issuer,
        IDENTITY.c.subject == subject,
    )
    row = session.execute(query.with_for_update()).one_or_none()
    return None if row is None else StoredIdentity(*row)


def put_identity(session: Session, **values: Any) -> None:
    """Store who a provider says that a person is, and what followed from it."""
    statement = insert(IDENTITY).values(**values)
    changes = {name: statement.excluded[name] for name in ("claims", "outcomes", "role")}
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["provider_id", "issuer", "subject"],
            set_={**changes, "seen_at": sa.func.now()},
        )
    )


def identities_of_person(session: Session, tenant: str, person_id: UUID) -> list[StoredIdentity]:
    """Who the providers of a tenant say that a person is, newest first."""
    query = sa.select(*_IDENTITY).where(
        IDENTITY.c.tenant == tenant, IDENTITY.c.person_id == person_id
    )
    query = query.order_by(IDENTITY.c.seen_at.desc())
    return [StoredIdentity(*row) for row in session.execute(query)]
