"""What an API key is good for: where, until when, and for what. No I/O."""

from collections.abc import Collection
from ipaddress import ip_address, ip_network

from services.gateway.api_keys.models import StoredApiKey
from services.gateway.people.models import StoredMember
from shared.auth import PERMISSIONS, Principal, Role
from shared.errors import Forbidden, InvalidInput, Unauthenticated


def canonical_networks(networks: Collection[str]) -> list[str]:
    """Return networks as they are stored.

    Raises:
        InvalidInput: one is none; a network has no bits of a host.
    """
    canonical = []
    for number, network in enumerate(networks):
        try:
            canonical.append(str(ip_network(network.strip())))
        except ValueError as error:
            raise InvalidInput(
                f"{network!r} is no network: write 192.0.2.0/24.", field=f"networks.{number}"
            ) from error
    return canonical


def is_inside(address: str, networks: Collection[str]) -> bool:
    """Whether an address is in one of some networks; in no network if it is no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    own = mapped or parsed
    return any(own in ip_network(network) for network in networks)


def require_scopes(principal: Principal, role: Role, scopes: Collection[str] | None) -> None:
    """Require that an actor holds what a key of it would hold.

    Raises:
        InvalidInput: a scope is no permission, or the key's role does not have it.
        Forbidden: the actor does not hold it.
    """
    if role > principal.role:
        raise Forbidden(f"The role {role.name} is above yours: {principal.role.name}.")
    if scopes is None and principal.scopes is not None:
        raise Forbidden("A key that you make is for what your own token is for: name its scopes.")
    for scope in scopes or ():
        if scope not in PERMISSIONS:
            raise InvalidInput(f"There is no permission {scope!r}.", field="scopes")
        if PERMISSIONS[scope] > role:
            raise InvalidInput(f"The role {role.name} lacks {scope}.", field="scopes")
        if not principal.may(scope):
            raise Forbidden(f"You do not hold {scope} yourself.")


def principal_of(key: StoredApiKey, owner: StoredMember | None, address: str) -> Principal:
    """Return whom a key acts as.

    Args:
        key: one that has neither expired nor been revoked.
        owner: the person's membership in the tenant of the key; None if there is none.
        address: of the client.

    Raises:
        Unauthenticated: its owner may not act, or the key is not for this network.
    """
    if owner is None or not owner.is_active:
        raise Unauthenticated("The owner of the API key is no active member of its tenant.")
    if key.networks and not is_inside(address, key.networks):
        raise Unauthenticated("The API key is not for this network.")
    # A person whose role was lowered has no key that still has the former one.
    role = min(owner.role, key.role)
    scopes = None if key.scopes is None else frozenset(key.scopes)
    return Principal(owner.login, key.tenant, role, None, scopes)
