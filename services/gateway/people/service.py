"""The verbs of people: tenants, members and invitations."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.gateway import NAME
from services.gateway.people import repository
from services.gateway.people.grants import require_reset, require_role
from services.gateway.people.models import StoredInvitation, StoredMember, StoredPerson
from services.gateway.people.schemas import (
    InvitationCreate,
    InvitationLink,
    InvitationView,
    MemberPatch,
    MemberView,
    TenantCreate,
    TenantView,
)
from services.gateway.people.secrets import digest_of, new_secret
from services.gateway.quotas.limits import INVITATIONS
from shared.audit import changes_between
from shared.auth import Principal, Role
from shared.database import PLATFORM, Database
from shared.errors import Conflict, Forbidden, NotFound, Unauthenticated
from shared.events.audit import FieldChange
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.revocations import revoke

SESSION_GRANT: Final = "session:"
"""What the grant of a session begins with in access tokens."""
_INVITATION_ENDED: Final = "The link is not valid: it was used, withdrawn, or its time is over."


def list_tenants(database: Database, after: str | None, limit: int) -> Page[TenantView]:
    """All tenants, by name."""
    place = decode_cursor(after, tuple[str])
    with database.transaction(PLATFORM) as session:
        tenants = repository.list_tenants(session, place[0] if place else None, limit + 1)
    return paginate(tenants, limit, lambda tenant: (tenant.tenant,)).map(TenantView.model_validate)


def create_tenant(database: Database, principal: Principal, body: TenantCreate) -> TenantView:
    """Create a tenant.

    Raises:
        Conflict: there is one of that name.
    """
    with database.transaction(PLATFORM) as session:
        if not repository.put_tenant(session, body.name, body.title):
            raise Conflict(f"There is already a tenant {body.name}.", field="name")
        _audit(session, principal, body.name, "tenants.create", body.name)
        tenant = repository.find_tenant(session, body.name)
    return TenantView.model_validate(tenant)


def freeze_tenant(
    database: Database, principal: Principal, name: str, *, frozen: bool
) -> TenantView:
    """Freeze a tenant, whose members and keys may do nothing then; or let it act again.

    Raises:
        NotFound: there is no such tenant.
    """
    with database.transaction(PLATFORM) as session:
        before = repository.find_tenant(session, name)
        if before is None:
            raise NotFound(f"There is no tenant {name}.")
        repository.freeze_tenant(session, name, frozen=frozen)
        # Tokens of the command line, polls and tasks know no members.
        revoke(session, NAME, name, "tenant", "", principal.actor, is_lifted=not frozen)
        was_frozen = before.frozen_at is not None
        changes = changes_between({"frozen": was_frozen}, {"frozen": frozen})
        _audit(session, principal, name, "tenants.update", name, changes)
        tenant = repository.find_tenant(session, name)
    return TenantView.model_validate(tenant)


def list_members(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[MemberView]:
    """The members of the tenant, by login."""
    place = decode_cursor(after, tuple[str])
    with database.transaction(principal.tenant) as session:
        members = repository.list_members(
            session, principal.tenant, place[0] if place else None, limit + 1
        )
    return paginate(members, limit, lambda member: (member.login,)).map(MemberView.model_validate)


def change_member(
    database: Database, principal: Principal, person_id: UUID, body: MemberPatch
) -> MemberView:
    """Change a member's role, or freeze it in this tenant.

    Raises:
        NotFound: the tenant has no such member.
        Forbidden: the member's role, or the new one, is above the actor's.
        Conflict: it is the tenant's last admin.
    """
    tenant = principal.tenant
    with database.transaction(_scope(principal)) as session:
        before = _lock_member(session, principal, person_id)
        if body.role is not None:
            require_role(principal, Role[body.role])
        repository.change_member(session, tenant, person_id, body.role, body.frozen)
        _keep_admin(session, principal, before)
        member = _lock_member(session, principal, person_id)
        if member.role < before.role or (body.frozen and before.frozen_at is None):
            revoke(session, NAME, tenant, "actor", member.login, principal.actor)
        changes = changes_between(_facts(before), _facts(member))
        _audit(session, principal, tenant, "members.update", member.login, changes)
    return MemberView.model_validate(member)


def remove_member(database: Database, principal: Principal, person_id: UUID) -> None:
    """End a person's membership in the tenant.

    Raises:
        NotFound: the tenant has no such member.
        Forbidden: the member's role is above the actor's.
        Conflict: it is the tenant's last admin.
    """
    with database.transaction(_scope(principal)) as session:
        member = _lock_member(session, principal, person_id)
        repository.delete_member(session, principal.tenant, person_id)
        _keep_admin(session, principal, member)
        revoke(session, NAME, principal.tenant, "actor", member.login, principal.actor)
        changes = changes_between(_facts(member), {})
        _audit(session, principal, principal.tenant, "members.remove", member.login, changes)


def invite(
    database: Database, principal: Principal, base_url: str, body: InvitationCreate
) -> InvitationLink:
    """Make an invitation; the link has its secret and is shown once.

    Raises:
        Forbidden: the role is above the actor's.
    """
    require_role(principal, Role[body.role])
    secret = new_secret("siqi_")
    with database.transaction(PLATFORM) as session:
        repository.put_tenant(session, principal.tenant, principal.tenant)
        require_room(session, principal.tenant, INVITATIONS)
        invitation = repository.insert_invitation(
            session,
            body.minutes,
            id=uuid7(),
            tenant=principal.tenant,
            digest=digest_of(secret),
            role=body.role,
            login=body.login,
            created_by=_maker(principal),
        )
        _audit(
            session,
            principal,
            principal.tenant,
            "invitations.create",
            str(invitation.id),
            role=body.role,
        )
    return _link(base_url, invitation, secret)


def let_reset(
    database: Database, principal: Principal, base_url: str, person_id: UUID
) -> InvitationLink:
    """Make a link with which a member chooses a new password.

    Raises:
        NotFound: the tenant has no such member.
        Forbidden: the person holds more than the actor, or belongs to another tenant as well.
    """
    secret = new_secret("siqi_")
    with database.transaction(PLATFORM) as session:
        member = repository.lock_member(session, principal.tenant, person_id)
        if member is None:
            raise _no_member(person_id)
        require_reset(principal, repository.members_of_person(session, person_id))
        invitation = repository.insert_invitation(
            session,
            60,
            id=uuid7(),
            tenant=principal.tenant,
            digest=digest_of(secret),
            # What the person is may change before the link is opened: it is looked at again then.
            role=principal.role.name,
            person_id=person_id,
            login=member.login,
            created_by=_maker(principal),
        )
        _audit(session, principal, principal.tenant, "members.let_reset", member.login)
    return _link(base_url, invitation, secret)


def list_invitations(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[InvitationView]:
    """The invitations of the tenant, newest first."""
    place = decode_cursor(after, tuple[UUID])
    with database.transaction(principal.tenant) as session:
        rows = repository.list_invitations(
            session, principal.tenant, place[0] if place else None, limit + 1
        )
    return paginate(rows, limit, lambda row: (row.id,)).map(InvitationView.model_validate)


def withdraw_invitation(database: Database, principal: Principal, invitation_id: UUID) -> None:
    """Withdraw an invitation that was not accepted yet.

    Raises:
        NotFound: the tenant has no such invitation.
    """
    with database.transaction(principal.tenant) as session:
        if not repository.withdraw_invitation(session, principal.tenant, invitation_id):
            raise NotFound(f"There is no invitation {invitation_id}.")
        _audit(session, principal, principal.tenant, "invitations.withdraw", str(invitation_id))


def require_person(database: Database, principal: Principal) -> StoredPerson:
    """Return the person that a session's token is of.

    An API key acts for a person, but is none: it can change no credential.

    Raises:
        Forbidden: no person asks, or an API key, a client or the command line does.
    """
    grant = principal.token.grant if principal.token is not None else ""
    person = None
    if grant.startswith(SESSION_GRANT):
        with database.transaction(PLATFORM) as session:
            person = repository.find_login(session, principal.actor)
    if person is None:
        raise Forbidden("Only a person who has signed in may do this.")
    return person


def open_invitation(session: Session, secret: str) -> StoredInvitation:
    """Return the invitation of a link, locked, in a transaction of the platform.

    Raises:
        Unauthenticated: there is none, it is over, or who made it holds less than it grants by now.
    """
    invitation = repository.find_open_invitation(session, digest_of(secret))
    if invitation is None or not _may_grant(session, invitation):
        raise Unauthenticated(_INVITATION_ENDED)
    return invitation


def _maker(principal: Principal) -> str:
    """Return who makes an invitation: a person's login, or the token of the command line.

    A token may name the actor like a person who holds less.
    """
    is_person = principal.token is not None and principal.token.grant
    return principal.actor if is_person else f"token:{principal.actor}"


def _may_grant(session: Session, invitation: StoredInvitation) -> bool:
    """Whether the maker of an invitation still holds what it grants.

    Invitations of the command line are those of whoever runs the installation.
    """
    maker = repository.find_login(session, invitation.created_by)
    if maker is None:
        return True
    if maker.frozen_at is not None:
        return False
    return any(
        member.is_active
        and member.role >= invitation.role
        and (member.tenant == invitation.tenant or member.role >= Role.operator)
        for member in repository.members_of_person(session, maker.id)
    )


def join(session: Session, invitation: StoredInvitation, person: StoredPerson) -> None:
    """Make a person a member as an invitation says; nobody loses a higher role by it.

    Raises:
        Unauthenticated: the invitation is for another person.
    """
    if invitation.login is not None and invitation.login != person.login:
        raise Unauthenticated(f"The invitation is for {invitation.login}.")
    present = repository.find_member(session, invitation.tenant, person.id)
    if present is None or present.role < invitation.role:
        repository.put_member(
            session,
            invitation.tenant,
            person.id,
            invitation.role_name,
            "invitation",
            invitation.created_by,
        )
    repository.accept_invitation(session, invitation.id, person.login)
    _record(session, invitation.tenant, person.login, "invitations.accept", str(invitation.id))


def _link(base_url: str, invitation: StoredInvitation, secret: str) -> InvitationLink:
    # Behind the number sign: no server and no log sees the secret of a link that is opened.
    link = f"{base_url}/welcome#{secret}"
    return InvitationLink(invitation=InvitationView.model_validate(invitation), link=link)


def _lock_member(session: Session, principal: Principal, person_id: UUID) -> StoredMember:
    member = repository.lock_member(session, principal.tenant, person_id)
    if member is None:
        raise _no_member(person_id)
    require_role(principal, member.role)
    return member


def _keep_admin(session: Session, principal: Principal, before: StoredMember) -> None:
    """Require that somebody is left who can undo it: an admin of the tenant, and an operator."""
    was_admin = before.role >= Role.admin and before.frozen_at is None
    is_operator = principal.role >= Role.operator
    is_own = before.login == principal.actor
    if not was_admin or (is_operator and not is_own):
        return
    if is_own and before.role >= Role.operator and repository.count_operators(session) == 0:
        raise Conflict("You are the last operator: name another one first.")
    if repository.count_admins(session, principal.tenant) == 0:
        raise Conflict("The tenant needs an admin: name another one first.")


def _scope(principal: Principal) -> str:
    """Operators are counted in all tenants."""
    return PLATFORM if principal.role >= Role.operator else principal.tenant


def _no_member(person_id: UUID) -> NotFound:
    return NotFound(f"The tenant has no member {person_id}.")


def _facts(member: StoredMember) -> dict[str, object]:
    return {"role": member.role_name, "frozen": member.frozen_at is not None}


def _record(session: Session, tenant: str, actor: str, action: str, target: str) -> None:
    audit(session, NAME, tenant, actor, action, target)


def _audit(
    session: Session,
    principal: Principal,
    tenant: str,
    action: str,
    target: str,
    changes: Mapping[str, FieldChange] | None = None,
    **details: str,
) -> None:
    audit(session, NAME, tenant, principal.actor, action, target, changes, **details)
