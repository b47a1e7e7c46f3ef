"""Which tenant a request of a person is for, and with which role. No I/O."""

from collections.abc import Sequence
from typing import NamedTuple

from services.gateway.people.models import StoredMember
from shared.auth import Role
from shared.errors import Forbidden, Unauthenticated
from shared.tenants import is_tenant


class TenantRole(NamedTuple):
    """A tenant, and the role in it."""

    tenant: str
    role: Role


def choose_tenant(
    members: Sequence[StoredMember], named: str | None, usual: str | None
) -> TenantRole:
    """Choose the tenant of a request.

    Args:
        members: all that the person is.
        named: the tenant that the request names.
        usual: the tenant that the person chose last.

    Raises:
        Unauthenticated: the person may act in no tenant at present.
        Forbidden: the person may not act in this tenant, or has to say in which.
    """
    active = [member for member in members if member.is_active]
    if not active:
        raise Unauthenticated("You are an active member of no tenant: ask an admin of yours.")
    tenant = named or usual
    if tenant is None:
        if len(active) > 1:
            names = ", ".join(member.tenant for member in active)
            raise Forbidden(f"You belong to {names}: say for which of them this request is.")
        return TenantRole(active[0].tenant, active[0].role)
    for member in active:
        if member.tenant == tenant:
            return TenantRole(tenant, member.role)
    is_operator = any(member.role >= Role.operator for member in active)
    is_barred = any(member.tenant == tenant for member in members)
    if is_operator and not is_barred and is_tenant(tenant):
        return TenantRole(tenant, Role.operator)
    raise Forbidden("You are no active member of that tenant.")
