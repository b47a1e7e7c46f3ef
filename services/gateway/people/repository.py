"""SQL of people."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.gateway.people.models import (
    INVITATION,
    MEMBER,
    PERSON,
    TENANT,
    StoredInvitation,
    StoredMember,
    StoredPerson,
    StoredTenant,
)
from shared.errors import Conflict
from shared.tenants import PLATFORM

_MEMBERS: Final = (
    sa.select(
        MEMBER.c.tenant,
        MEMBER.c.person_id,
        MEMBER.c.role.label("role_name"),
        MEMBER.c.origin,
        MEMBER.c.created_at,
        MEMBER.c.created_by,
        MEMBER.c.frozen_at,
        PERSON.c.login,
        PERSON.c.name,
        PERSON.c.frozen_at.is_not(None).label("is_person_frozen"),
        TENANT.c.frozen_at.is_not(None).label("is_tenant_frozen"),
    )
    .join(PERSON, PERSON.c.id == MEMBER.c.person_id)
    .outerjoin(TENANT, TENANT.c.tenant == MEMBER.c.tenant)
)
_PERSON: Final = (
    PERSON.c.id,
    PERSON.c.login,
    PERSON.c.name,
    PERSON.c.is_break_glass,
    PERSON.c.created_at,
    PERSON.c.frozen_at,
)
_INVITATION: Final = (
    INVITATION.c.id,
    INVITATION.c.tenant,
    INVITATION.c.role.label("role_name"),
    INVITATION.c.person_id,
    INVITATION.c.login,
    INVITATION.c.created_at,
    INVITATION.c.created_by,
    INVITATION.c.expires_at,
    INVITATION.c.accepted_at,
    INVITATION.c.accepted_by,
    INVITATION.c.withdrawn_at,
)


def put_tenant(session: Session, tenant: str, title: str) -> bool:
    """Store a tenant; return whether it is new."""
    statement = insert(TENANT).values(tenant=tenant, title=title).on_conflict_do_nothing()
    return session.execute(statement.returning(TENANT.c.tenant)).one_or_none() is not None


def find_tenant(session: Session, tenant: str) -> StoredTenant | None:
    """A tenant that the transaction may read."""
    row = session.execute(sa.select(TENANT).where(TENANT.c.tenant == tenant)).one_or_none()
    return None if row is None else StoredTenant(*row)


def list_tenants(session: Session, after: str | None, limit: int) -> list[StoredTenant]:
    """The tenants that the transaction may read, by name."""
    query = sa.select(TENANT).order_by(TENANT.c.tenant).limit(limit)
    if after is not None:
        query = query.where(TENANT.c.tenant > after)
    return [StoredTenant(*row) for row in session.execute(query)]


def freeze_tenant(session: Session, tenant: str, *, frozen: bool) -> None:
    """Freeze a tenant, or let it act again."""
    moment = sa.func.coalesce(TENANT.c.frozen_at, sa.func.now()) if frozen else sa.null()
    session.execute(sa.update(TENANT).where(TENANT.c.tenant == tenant).values(frozen_at=moment))


def insert_person(
    session: Session, person_id: UUID, login: str, name: str, *, is_break_glass: bool = False
) -> StoredPerson:
    """Store a person, in a transaction of the platform.

    Raises:
        Conflict: another person has the login.
    """
    values = {"id": person_id, "tenant": PLATFORM, "login": login, "name": name}
    statement = sa.insert(PERSON).values(**values, is_break_glass=is_break_glass)
    try:
        return StoredPerson(*session.execute(statement.returning(*_PERSON)).one())
    except IntegrityError as error:
        raise Conflict(f"The login {login} is in use.", field="login") from error


def find_person(session: Session, person_id: UUID, *, lock: bool = False) -> StoredPerson | None:
    """A person by id, in a transaction of the platform; with `lock`, no row of it changes."""
    query = sa.select(*_PERSON).where(PERSON.c.id == person_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else StoredPerson(*row)


def find_login(session: Session, login: str) -> StoredPerson | None:
    """A person by login, in a transaction of the platform."""
    row = session.execute(sa.select(*_PERSON).where(PERSON.c.login == login)).one_or_none()
    return None if row is None else StoredPerson(*row)


def freeze_person(session: Session, person_id: UUID, *, frozen: bool) -> None:
    """Freeze a person in all tenants, or end that."""
    moment = sa.func.coalesce(PERSON.c.frozen_at, sa.func.now()) if frozen else sa.null()
    session.execute(sa.update(PERSON).where(PERSON.c.id == person_id).values(frozen_at=moment))


def put_member(
    session: Session, tenant: str, person_id: UUID, role: str, origin: str, actor: str
) -> None:
    """Store a person's role in a tenant; the role of a member who is there changes."""
    values = {"role": role, "origin": origin}
    statement = insert(MEMBER).values(
        tenant=tenant, person_id=person_id, created_by=actor, **values
    )
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "person_id"], set_=values)
    )


def find_member(session: Session, tenant: str, person_id: UUID) -> StoredMember | None:
    """A person's role in a tenant, in a transaction of the platform."""
    query = _MEMBERS.where(MEMBER.c.tenant == tenant, MEMBER.c.person_id == person_id)
    row = session.execute(query).one_or_none()
    return None if row is None else StoredMember(*row)


def lock_member(session: Session, tenant: str, person_id: UUID) -> StoredMember | None:
    """As `find_member`; the member stays as it is until the transaction ends."""
    query = _MEMBERS.where(MEMBER.c.tenant == tenant, MEMBER.c.person_id == person_id)
    row = session.execute(query.with_for_update(of=MEMBER)).one_or_none()
    return None if row is None else StoredMember(*row)


def members_of_person(session: Session, person_id: UUID) -> list[StoredMember]:
    """All that a person is, by tenant, in a transaction of the platform."""
    query = _MEMBERS.where(MEMBER.c.person_id == person_id).order_by(MEMBER.c.tenant)
    return [StoredMember(*row) for row in session.execute(query)]


def list_members(
    session: Session, tenant: str, after: str | None, limit: int
) -> Sequence[StoredMember]:
    """The members of a tenant by login, in a transaction of the platform."""
    query = _MEMBERS.where(MEMBER.c.tenant == tenant).order_by(PERSON.c.login).limit(limit)
    if after is not None:
        query = query.where(PERSON.c.login > after)
    return [StoredMember(*row) for row in session.execute(query)]


def count_admins(session: Session, tenant: str) -> int:
    """The active members of a tenant that are admins or more; their rows are locked."""
    query = (
        sa.select(MEMBER.c.person_id)
        .where(MEMBER.c.tenant == tenant, MEMBER.c.frozen_at.is_(None))
        .where(MEMBER.c.role.in_(("admin", "operator")))
        .with_for_update()
    )
    return len(session.execute(query).all())


def count_operators(session: Session) -> int:
    """The active operators of all tenants, in a transaction of the platform; rows are locked."""
    query = (
        sa.select(MEMBER.c.person_id)
        .join(PERSON, PERSON.c.id == MEMBER.c.person_id)
        .where(MEMBER.c.role == "operator", MEMBER.c.frozen_at.is_(None))
        .where(PERSON.c.frozen_at.is_(None))
        .order_by(MEMBER.c.tenant, MEMBER.c.person_id)
        .with_for_update(of=MEMBER)
    )
    return len(session.execute(query).all())


def change_member(
    session: Session, tenant: str, person_id: UUID, role: str | None, frozen: bool | None
) -> None:
    """Change a member's role, whether it is frozen, or both."""
    values: dict[str, Any] = {}
    if role is not None:
        values["role"] = role
    if frozen is not None:
        values["frozen_at"] = (
            sa.func.coalesce(MEMBER.c.frozen_at, sa.func.now()) if frozen else None
        )
    if values:
        place = (MEMBER.c.tenant == tenant, MEMBER.c.person_id == person_id)
        session.execute(sa.update(MEMBER).where(*place).values(**values))


def delete_member(session: Session, tenant: str, person_id: UUID) -> None:
    """End a person's membership in a tenant."""
    place = (MEMBER.c.tenant == tenant, MEMBER.c.person_id == person_id)
    session.execute(sa.delete(MEMBER).where(*place))


def insert_invitation(session: Session, minutes: int, **values: Any) -> StoredInvitation:
    """Store an invitation that expires after some minutes."""
    expires_at = sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, minutes)
    statement = sa.insert(INVITATION).values(**values, expires_at=expires_at)
    return StoredInvitation(*session.execute(statement.returning(*_INVITATION)).one())


def list_invitations(
    session: Session, tenant: str, after: UUID | None, limit: int
) -> list[StoredInvitation]:
    """The invitations of a tenant, newest first."""
    query = sa.select(*_INVITATION).where(INVITATION.c.tenant == tenant)
    if after is not None:
        query = query.where(INVITATION.c.id < after)
    query = query.order_by(INVITATION.c.id.desc()).limit(limit)
    return [StoredInvitation(*row) for row in session.execute(query)]


def find_open_invitation(session: Session, digest: bytes) -> StoredInvitation | None:
    """The invitation of a secret, locked, unless it is over, in a transaction of the platform."""
    query = sa.select(*_INVITATION).where(
        INVITATION.c.digest == digest,
        INVITATION.c.expires_at > sa.func.now(),
        INVITATION.c.accepted_at.is_(None),
        INVITATION.c.withdrawn_at.is_(None),
    )
    row = session.execute(query.with_for_update()).one_or_none()
    return None if row is None else StoredInvitation(*row)


def accept_invitation(session: Session, invitation_id: UUID, actor: str) -> None:
    """Note that an invitation was accepted."""
    values = {"accepted_at": sa.func.now(), "accepted_by": actor}
    session.execute(sa.update(INVITATION).where(INVITATION.c.id == invitation_id).values(**values))


def withdraw_invitation(session: Session, tenant: str, invitation_id: UUID) -> bool:
    """Withdraw an invitation of a tenant; return whether there is one."""
    place = (INVITATION.c.id == invitation_id, INVITATION.c.tenant == tenant)
    moment = sa.func.coalesce(INVITATION.c.withdrawn_at, sa.func.now())
    statement = sa.update(INVITATION).where(*place).values(withdrawn_at=moment)
    return session.execute(statement.returning(INVITATION.c.id)).one_or_none() is not None
