"""SQL of API keys."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.gateway.api_keys.models import API_KEY, StoredApiKey

_API_KEY: Final = (
    API_KEY.c.id,
    API_KEY.c.tenant,
    API_KEY.c.name,
    API_KEY.c.person_id,
    API_KEY.c.role.label("role_name"),
    API_KEY.c.scopes,
    API_KEY.c.networks,
    API_KEY.c.created_at,
    API_KEY.c.created_by,
    API_KEY.c.expires_at,
    API_KEY.c.used_at,
    API_KEY.c.used_from,
    API_KEY.c.revoked_at,
    API_KEY.c.successor,
)
_MINUTE: Final = sa.text("interval '1 minute'")


def insert_key(session: Session, minutes: int, values: Mapping[str, Any]) -> StoredApiKey:
    """Store a new key, which expires after some minutes."""
    expires_at = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, minutes)
    statement = sa.insert(API_KEY).values(**values, expires_at=expires_at)
    return StoredApiKey(*session.execute(statement.returning(*_API_KEY)).one())


def find_valid(session: Session, key_id: str) -> tuple[StoredApiKey, bytes] | None:
    """A key that has neither expired nor been revoked, and its digest."""
    query = sa.select(*_API_KEY, API_KEY.c.digest).where(
        API_KEY.c.id == key_id,
        API_KEY.c.revoked_at.is_(None),
        API_KEY.c.expires_at > sa.func.now(),
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (_stored(tuple(row)), row.digest)


def lock_key(session: Session, tenant: str, key_id: str) -> StoredApiKey | None:
    """A key of a tenant, locked until the transaction ends."""
    query = sa.select(*_API_KEY).where(API_KEY.c.id == key_id, API_KEY.c.tenant == tenant)
    row = session.execute(query.with_for_update()).one_or_none()
    return None if row is None else _stored(tuple(row))


def list_keys(
    session: Session, tenant: str, person_id: UUID | None, after: str | None, limit: int
) -> Sequence[StoredApiKey]:
    """The keys of a tenant by id; those of one person, if one is named."""
    query = sa.select(*_API_KEY).where(API_KEY.c.tenant == tenant)
    if person_id is not None:
        query = query.where(API_KEY.c.person_id == person_id)
    if after is not None:
        query = query.where(API_KEY.c.id > after)
    query = query.order_by(API_KEY.c.id).limit(limit)
    return [_stored(tuple(row)) for row in session.execute(query)]


def note_use(session: Session, key_id: str, address: str) -> None:
    """Note when and where a key was used, once a minute."""
    old = sa.or_(
        API_KEY.c.used_at.is_(None),
        API_KEY.c.used_at < sa.func.now() - _MINUTE,
        API_KEY.c.used_from.is_distinct_from(address),
    )
    statement = sa.update(API_KEY).where(API_KEY.c.id == key_id, old)
    session.execute(statement.values(used_at=sa.func.now(), used_from=address))


def put_digest(session: Session, key_id: str, digest: bytes) -> None:
    """Store the digest of a key under another key of the gateway."""
    session.execute(sa.update(API_KEY).where(API_KEY.c.id == key_id).values(digest=digest))


def revoke_key(session: Session, key_id: str, actor: str) -> None:
    """Accept a key no more; one that was revoked before stays as it is."""
    statement = sa.update(API_KEY).where(API_KEY.c.id == key_id, API_KEY.c.revoked_at.is_(None))
    session.execute(statement.values(revoked_at=sa.func.now(), revoked_by=actor))


def replace_key(session: Session, key_id: str, successor: str, minutes: int) -> None:
    """Let a key go on for some minutes, at most as long as it would have."""
    until = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, minutes)
    statement = sa.update(API_KEY).where(API_KEY.c.id == key_id)
    values = {"successor": successor, "expires_at": sa.func.least(API_KEY.c.expires_at, until)}
    session.execute(statement.values(**values))


def _stored(row: Sequence[Any]) -> StoredApiKey:
    return StoredApiKey(*row[: len(_API_KEY)])
