"""SQL of sessions, in transactions of the platform."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.gateway import NAME
from services.gateway.people.service import SESSION_GRANT
from services.gateway.sessions.models import SESSION, StoredSession
from shared.revocations import revoke
from shared.tenants import PLATFORM, PUBLIC

_SESSION: Final = (
    SESSION.c.id,
    SESSION.c.person_id,
    SESSION.c.chosen_tenant,
    SESSION.c.kind,
    SESSION.c.methods,
    SESSION.c.provider,
    SESSION.c.address,
    SESSION.c.agent,
    SESSION.c.created_at,
    SESSION.c.seen_at,
    SESSION.c.expires_at,
)
_IDLE: Final = sa.text("interval '12 hours'")
_LONGEST: Final = sa.text("interval '7 days'")
_MINUTE: Final = sa.text("interval '1 minute'")
_OPEN: Final = (
    SESSION.c.ended_at.is_(None),
    SESSION.c.expires_at > sa.func.now(),
    SESSION.c.seen_at > sa.func.now() - _IDLE,
)
"""A session ends after a week, and after twelve hours without a request."""


def insert_session(session: Session, **values: Any) -> StoredSession:
    """Store a session that has just begun."""
    expires_at = sa.func.now() + _LONGEST
    statement = sa.insert(SESSION).values(tenant=PLATFORM, expires_at=expires_at, **values)
    return StoredSession(*session.execute(statement.returning(*_SESSION)).one())


def find_session(session: Session, digest: bytes) -> StoredSession | None:
    """The open session of a secret."""
    query = sa.select(*_SESSION).where(SESSION.c.digest == digest, *_OPEN)
    row = session.execute(query).one_or_none()
    return None if row is None else StoredSession(*row)


def note_use(session: Session, session_id: UUID, address: str) -> None:
    """Note that a session was used, once a minute."""
    old = SESSION.c.seen_at < sa.func.now() - _MINUTE
    statement = sa.update(SESSION).where(SESSION.c.id == session_id, old)
    session.execute(statement.values(seen_at=sa.func.now(), address=address))


def choose_tenant(session: Session, session_id: UUID, tenant: str) -> None:
    """Note the tenant that requests of a session are for from now on."""
    statement = sa.update(SESSION).where(SESSION.c.id == session_id)
    session.execute(statement.values(chosen_tenant=tenant))


def list_sessions(session: Session, person_id: UUID) -> list[StoredSession]:
    """The open sessions of a person, newest first."""
    query = sa.select(*_SESSION).where(SESSION.c.person_id == person_id, *_OPEN)
    query = query.order_by(SESSION.c.created_at.desc())
    return [StoredSession(*row) for row in session.execute(query)]


def end_session(session: Session, person_id: UUID, session_id: UUID, actor: str) -> bool:
    """End a session of a person; return whether there was an open one."""
    statement = _end(actor).where(SESSION.c.person_id == person_id, SESSION.c.id == session_id)
    return bool(_ended(session, statement, actor))


def end_sessions(
    session: Session, person_id: UUID, actor: str, except_for: UUID | None = None
) -> Sequence[UUID]:
    """End all open sessions of a person but one; return their ids."""
    statement = _end(actor).where(SESSION.c.person_id == person_id)
    if except_for is not None:
        statement = statement.where(SESSION.c.id != except_for)
    return _ended(session, statement, actor)


def end_provider_sessions(
    session: Session, provider: str, person_id: UUID | None, provider_session: str | None
) -> Sequence[UUID]:
    """End the sessions that a provider began and ends now; return their ids."""
    statement = _end(provider).where(SESSION.c.provider == provider)
    if person_id is not None:
        statement = statement.where(SESSION.c.person_id == person_id)
    if provider_session is not None:
        statement = statement.where(SESSION.c.provider_session == provider_session)
    return _ended(session, statement, provider)


def _ended(session: Session, statement: sa.Update, actor: str) -> Sequence[UUID]:
    """End sessions, and the access tokens of each in all services; return their ids."""
    ended = list(session.scalars(statement.returning(SESSION.c.id)))
    for session_id in ended:
        revoke(session, NAME, PUBLIC, "grant", grant_of(session_id), actor)
    return ended


def grant_of(session_id: UUID) -> str:
    """Return the grant that access tokens of a session name."""
    return f"{SESSION_GRANT}{session_id}"


def _end(actor: str) -> sa.Update:
    values = {"ended_at": sa.func.now(), "ended_by": actor}
    return sa.update(SESSION).where(SESSION.c.ended_at.is_(None)).values(**values)
