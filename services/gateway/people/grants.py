"""Who may grant a role, change a member, or let a person choose a new password. No I/O.

Nobody gives or takes what they do not hold. A person who belongs to several tenants, or holds more
than the actor in any of them, is no single tenant's to reset.
"""

from collections.abc import Iterable

from services.gateway.people.models import StoredMember
from shared.auth import Principal, Role
from shared.errors import Forbidden


def require_role(principal: Principal, role: Role) -> None:
    """Require that an actor holds a role that it wants to give or take.

    Raises:
        Forbidden: the role is above the actor's.
    """
    if role > principal.role:
        raise Forbidden(
            f"The role {role.name} is above yours: {principal.role.name}. "
            "Nobody grants or changes more than they hold."
        )


def require_reset(principal: Principal, members: Iterable[StoredMember]) -> None:
    """Require that an actor may let a person choose a new password.

    Args:
        principal: the actor.
        members: all that the person is, in every tenant.

    Raises:
        Forbidden: the person holds more than the actor, or belongs to another tenant as well.
    """
    if principal.role >= Role.operator:
        return
    for member in members:
        if member.tenant != principal.tenant:
            raise Forbidden("Only an operator resets a person who belongs to several tenants.")
        require_role(principal, member.role)
