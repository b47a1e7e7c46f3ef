"""Which tenant a request is for; who may grant a role, and reset a person."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.gateway.people.grants import require_reset, require_role
from services.gateway.people.membership import choose_tenant
from services.gateway.people.models import StoredMember
from shared.auth import Principal, Role
from shared.errors import Forbidden, Unauthenticated

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def member(tenant: str, role: str, *, frozen: bool = False) -> StoredMember:
    frozen_at = NOW if frozen else None
    return StoredMember(
        tenant, UUID(int=1), role, "invitation", NOW, "root", frozen_at, "kim", "Kim", False, False
    )


def test_the_only_tenant_needs_no_name() -> None:
    assert choose_tenant([member("acme", "analyst")], None, None) == ("acme", Role.analyst)


def test_of_several_tenants_one_has_to_be_named() -> None:
    members = [member("acme", "viewer"), member("beta", "admin")]
    with pytest.raises(Forbidden, match="acme, beta"):
        choose_tenant(members, None, None)
    assert choose_tenant(members, "beta", "acme") == ("beta", Role.admin)
    assert choose_tenant(members, None, "acme") == ("acme", Role.viewer)


@pytest.mark.parametrize("tenant", ["gamma", "*", "public", "ACME", "../acme"])
def test_a_tenant_of_others_is_refused(tenant: str) -> None:
    with pytest.raises(Forbidden, match="no active member"):
        choose_tenant([member("acme", "admin")], tenant, None)


def test_an_operator_acts_in_any_tenant() -> None:
    members = [member("acme", "operator")]
    assert choose_tenant(members, "gamma", None) == ("gamma", Role.operator)
    assert choose_tenant(members, "public", None) == ("public", Role.operator)
    with pytest.raises(Forbidden):
        choose_tenant(members, "*", None)


def test_an_operator_has_no_way_around_a_frozen_membership() -> None:
    members = [member("acme", "operator"), member("beta", "viewer", frozen=True)]
    with pytest.raises(Forbidden):
        choose_tenant(members, "beta", None)


@pytest.mark.parametrize("members", [[], [member("acme", "operator", frozen=True)]])
def test_who_is_active_nowhere_may_do_nothing(members: list[StoredMember]) -> None:
    with pytest.raises(Unauthenticated, match="ask an admin"):
        choose_tenant(members, "acme", "acme")


@pytest.mark.parametrize("own", list(Role))
@pytest.mark.parametrize("role", list(Role))
def test_nobody_grants_more_than_they_hold(own: Role, role: Role) -> None:
    principal = Principal("kim", "acme", own)
    if role > own:
        with pytest.raises(Forbidden, match="above yours"):
            require_role(principal, role)
    else:
        require_role(principal, role)


@pytest.mark.parametrize(
    "members",
    [
        [member("acme", "operator")],
        [member("acme", "viewer"), member("beta", "viewer")],
    ],
)
def test_an_admin_resets_nobody_who_holds_more_or_belongs_elsewhere(
    members: list[StoredMember],
) -> None:
    with pytest.raises(Forbidden):
        require_reset(Principal("kim", "acme", Role.admin), members)
    require_reset(Principal("root", "acme", Role.operator), members)
