"""The verbs of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.gateway import NAME
from services.gateway.people import repository as people
from services.gateway.people.membership import TenantRole, choose_tenant
from services.gateway.people.models import StoredMember, StoredPerson
from services.gateway.people.secrets import digest_of, new_secret
from services.gateway.people.service import SESSION_GRANT
from services.gateway.sessions import repository
from services.gateway.sessions.cookies import BROWSER_PREFIX, COMMAND_LINE_PREFIX, csrf_token
from services.gateway.sessions.models import StoredSession
from services.gateway.sessions.schemas import CurrentSession, SessionView, TenantChoice
from shared.auth import PERMISSIONS, Principal
from shared.database import PLATFORM, Database
from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_LONGEST_AGENT: Final = 200


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session is used.

    Attributes:
        is_browser: whether a cookie carries the session; else the command line has it.
        address: of the client.
        agent: what it says that it is.
    """

    is_browser: bool
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class SessionOwner:
    """An open session, its person, and all that the person may be in it.

    What a provider vouches for is its own tenant's: in a session that a provider has begun only the
    memberships count that this provider has given.
    """

    session: StoredSession
    person: StoredPerson
    members: Sequence[StoredMember]

    def act_in(self, tenant: str | None) -> TenantRole:
        """Return the tenant that a request is for, and the role in it.

        Raises:
            Unauthenticated, Forbidden: as `choose_tenant`.
        """
        return choose_tenant(self.members, tenant, self.session.chosen_tenant)


def session_of(principal: Principal) -> UUID:
    """Return the session that a principal's token was given for.

    Raises:
        Forbidden: it is of an API key, a client, or the command line.
    """
    grant = principal.token.grant if principal.token is not None else ""
    if not grant.startswith(SESSION_GRANT):
        raise Forbidden("Only a person who has signed in may do this.")
    return UUID(grant.removeprefix(SESSION_GRANT))


def begin_session(
    session: Session,
    person: StoredPerson,
    methods: Sequence[str],
    device: Device,
    provider: str | None = None,
    provider_session: str | None = None,
) -> tuple[str, SessionOwner]:
    """Begin a session, in a transaction of the platform; return its secret and the session.

    The person stays as it is until the transaction ends: whoever freezes it, or ends its sessions,
    does so before, and no session begins, or after, and this one ends as well.

    Raises:
        Unauthenticated: the person is frozen or gone, or may act in no tenant.
    """
    present = people.find_person(session, person.id, lock=True)
    if present is None:
        raise Unauthenticated("The account is gone: ask an admin of yours.")
    person = present
    if person.frozen_at is not None:
        raise Unauthenticated("The account is frozen: ask an operator.")
    members = _members(session, person, provider)
    active = [member for member in members if member.is_active]
    if not active:
        raise Unauthenticated("You are an active member of no tenant: ask an admin of yours.")
    secret = new_secret(BROWSER_PREFIX if device.is_browser else COMMAND_LINE_PREFIX)
    stored = repository.insert_session(
        session,
        id=uuid7(),
        digest=digest_of(secret),
        person_id=person.id,
        chosen_tenant=active[0].tenant if len(active) == 1 else None,
        kind="browser" if device.is_browser else "command-line",
        methods=list(methods),
        provider=provider,
        provider_session=provider_session,
        address=device.address,
        agent=device.agent[:_LONGEST_AGENT],
    )
    for member in active:
        details = {"methods": " ".join(methods), "address": device.address}
        audit(session, NAME, member.tenant, person.login, "sessions.begin", stored.id, **details)
    if person.is_break_glass:
        log.error("break_glass.used", login=person.login, address=device.address)
        for member in active:
            audit(session, NAME, member.tenant, person.login, "break_glass.use", stored.id)
    return secret, SessionOwner(stored, person, members)


def find_owner(session: Session, secret: str) -> SessionOwner:
    """Return the open session of a secret, in a transaction of the platform.

    Raises:
        Unauthenticated: there is none, it has ended, or the person is frozen.
    """
    stored = repository.find_session(session, digest_of(secret))
    person = None if stored is None else people.find_person(session, stored.person_id)
    if stored is None or person is None:
        raise Unauthenticated("The session has ended: sign in again.")
    if person.frozen_at is not None:
        raise Unauthenticated("The account is frozen: ask an operator.")
    return SessionOwner(stored, person, _members(session, person, stored.provider))


def _members(
    session: Session, person: StoredPerson, provider: str | None
) -> Sequence[StoredMember]:
    members = people.members_of_person(session, person.id)
    if provider is None:
        return members
    return [member for member in members if member.origin == f"provider:{provider}"]


def describe_session(owner: SessionOwner, tenant: str | None, secret: str) -> CurrentSession:
    """Describe a session as pages show it; without a tenant as long as none is chosen."""
    choice: TenantRole | None
    try:
        choice = owner.act_in(tenant)
    except Forbidden:
        choice = None
    return CurrentSession(
        session_id=owner.session.id,
        person_id=owner.person.id,
        login=owner.person.login,
        name=owner.person.name,
        tenant=None if choice is None else choice.tenant,
        role=None if choice is None else choice.role.name,
        permissions=[] if choice is None else _permissions(choice),
        tenants=[
            TenantChoice(tenant=member.tenant, role=member.role_name)
            for member in owner.members
            if member.is_active
        ],
        methods=owner.session.methods,
        expires_at=owner.session.expires_at,
        csrf_token=csrf_token(secret) if secret.startswith(BROWSER_PREFIX) else None,
    )


def select_tenant(database: Database, secret: str, tenant: str) -> CurrentSession:
    """Choose the tenant that a session's requests are for.

    Raises:
        Unauthenticated: the session has ended.
        Forbidden: the person may not act there.
    """
    with database.transaction(PLATFORM) as session:
        owner = find_owner(session, secret)
        owner.act_in(tenant)
        repository.choose_tenant(session, owner.session.id, tenant)
        actor = owner.person.login
        audit(session, NAME, tenant, actor, "sessions.choose_tenant", owner.session.id)
    return describe_session(owner, tenant, secret)


def list_own(database: Database, principal: Principal) -> list[SessionView]:
    """The open sessions of the person who asks.

    Raises:
        Forbidden: no person asks.
    """
    with database.transaction(PLATFORM) as session:
        current, person_id = _own(session, principal)
        sessions = repository.list_sessions(session, person_id)
    views = map(SessionView.model_validate, sessions)
    return [view.model_copy(update={"is_current": view.id == current}) for view in views]


def end_own(database: Database, principal: Principal, session_id: UUID) -> None:
    """End a session of the person who asks.

    Raises:
        NotFound: the person has no such open session.
    """
    with database.transaction(PLATFORM) as session:
        _, person_id = _own(session, principal)
        if not repository.end_session(session, person_id, session_id, principal.actor):
            raise NotFound(f"You have no open session {session_id}.")
        audit(session, NAME, principal.tenant, principal.actor, "sessions.end", str(session_id))


def end_all_own(database: Database, principal: Principal) -> int:
    """End all sessions of the person who asks, this one too; return how many."""
    with database.transaction(PLATFORM) as session:
        _, person_id = _own(session, principal)
        return end_all(session, principal.tenant, person_id, principal.actor)


def end_all(session: Session, tenant: str, person_id: UUID, actor: str) -> int:
    """End all sessions of a person, also one that begins at the same time; return how many."""
    people.find_person(session, person_id, lock=True)
    ended = repository.end_sessions(session, person_id, actor)
    audit(session, NAME, tenant, actor, "sessions.end_all", person_id, count=str(len(ended)))
    return len(ended)


def end_by_secret(database: Database, secret: str) -> None:
    """End the session of a secret, if it is open: sign out."""
    with database.transaction(PLATFORM) as session:
        stored = repository.find_session(session, digest_of(secret))
        person = None if stored is None else people.find_person(session, stored.person_id)
        if stored is None or person is None:
            return
        repository.end_session(session, person.id, stored.id, person.login)
        tenant = stored.chosen_tenant or PLATFORM
        audit(session, NAME, tenant, person.login, "sessions.end", str(stored.id))


def _own(session: Session, principal: Principal) -> tuple[UUID, UUID]:
    """Return the ids of the session and the person of a request."""
    session_id = session_of(principal)
    person = people.find_login(session, principal.actor)
    if person is None:
        raise NotFound("There is no such person.")
    return session_id, person.id


def _permissions(choice: TenantRole) -> list[str]:
    return sorted(name for name, role in PERMISSIONS.items() if choice.role >= role)
