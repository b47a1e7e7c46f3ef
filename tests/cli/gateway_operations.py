"""What the command line offers of the gateway's own operations, and why not the others."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

PAGES = "the command reads page after page"
DEVICE = "the command names this machine itself"
BROWSER = "a browser does it: it has the passkey, the provider's page or the cookie"
ACCOUNT = "it needs a session that has just shown a password; docs/identity.md has the request"
TENANTS = "operators of the platform make and freeze tenants over the API"


class Offer(NamedTuple):
    """The command of an operation, and by parameter the option with another name, or the reason."""

    command: str
    names: Mapping[str, str] = MappingProxyType({})
    reasons: Mapping[str, str] = MappingProxyType({})


GATEWAY_OPERATIONS: dict[str, Offer | str] = {
    "POST /v1/sign-in": Offer(
        "login",
        {"login": "name"},
        {
            "password": "it is asked for, so that no list of processes shows it",
            "code": "it is asked for when the account has a second factor",
            "device": DEVICE,
        },
    ),
    "POST /v1/sign-in/link": Offer("login", {"secret": "link"}),
    "POST /v1/sign-in/link/accept": Offer(
        "login",
        {"secret": "link", "login": "name"},
        {"password": "it is asked for twice", "device": DEVICE},
    ),
    "POST /v1/sign-in/link/join": Offer("login", {"secret": "link"}),
    "DELETE /v1/session": Offer("logout"),
    "GET /v1/sessions": Offer("sessions list"),
    "DELETE /v1/sessions": Offer("sessions end"),
    "DELETE /v1/sessions/{session_id}": Offer("sessions end", {"session_id": "ids"}),
    "GET /v1/members": Offer("members list", {}, {"after": PAGES, "limit": PAGES}),
    "PATCH /v1/members/{person_id}": Offer("members change", {"person_id": "login"}),
    "DELETE /v1/members/{person_id}": Offer("members remove", {"person_id": "login"}),
    "POST /v1/members/{person_id}/reset": Offer("members reset", {"person_id": "login"}),
    "POST /v1/invitations": Offer("invite", {"minutes": "hours"}),
    "GET /v1/api-keys": Offer("keys list", {}, {"after": PAGES, "limit": PAGES}),
    "POST /v1/api-keys": Offer("keys create", {"scopes": "scope", "networks": "network"}),
    "DELETE /v1/api-keys/{key_id}": Offer("keys revoke", {"key_id": "ids"}),
    "POST /v1/api-keys/{key_id}/rotate": Offer("keys rotate", {"overlap_minutes": "overlap_hours"}),
    "GET /v1/providers": Offer("auth providers"),
    "POST /v1/providers": Offer(
        "auth add",
        {"rules": "rule"},
        {
            "client_secret": "a variable has it, so that no list of processes shows it",
            "algorithms": "what is left out is what the provider itself offers",
            "scopes": "what is left out is what sign-in needs",
        },
    ),
    "GET /v1/members/{person_id}/identities": Offer("auth explain", {"person_id": "login"}),
    "PUT /v1/providers/{provider_id}/rules": "rules are replaced as a whole, over the API",
    "DELETE /v1/providers/{provider_id}": "nobody signs in there afterwards: the API alone does it",
    "GET /v1/session": "the command line keeps who has signed in beside the token of the session",
    "PUT /v1/session": "every command takes --tenant, so that no session needs to change its own",
    "GET /v1/invitations": "an invitation ends within hours, and the console lists and withdraws",
    "DELETE /v1/invitations/{invitation_id}": "an invitation ends within hours, or in the console",
    "GET /v1/tenants": TENANTS,
    "POST /v1/tenants": TENANTS,
    "PATCH /v1/tenants/{tenant}": TENANTS,
    "PUT /v1/account/password": ACCOUNT,
    "POST /v1/account/one-time-codes": ACCOUNT,
    "POST /v1/account/one-time-codes/confirm": ACCOUNT,
    "POST /v1/account/one-time-codes/remove": ACCOUNT,
    "GET /.well-known/jwks.json": "services read it to verify the access tokens of the gateway",
}
BROWSERS: tuple[str, ...] = (
    "/v1/sign-in/passkey",
    "/v1/sign-in/provider",
    "/v1/account/passkeys",
)
"""Beginnings of the paths that browsers alone have a use for."""


def offer_of(key: str) -> Offer | str | None:
    """The command of one of the gateway's own operations, or the reason why there is none."""
    if key.partition(" ")[2].startswith(BROWSERS):
        return BROWSER
    return GATEWAY_OPERATIONS.get(key)
