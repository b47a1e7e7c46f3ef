"""Routes of signing in and out. They ask for no token; what changes a session asks for its own.

Each route that carries a cookie, or sets one, wants to come from a page of this address.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request, Response

from services.gateway.credentials.api import Party
from services.gateway.credentials.passkeys import begin_use
from services.gateway.credentials.schemas import PasskeyOptions
from services.gateway.people.schemas import TenantName
from services.gateway.sessions.cookies import (
    BROWSER_PREFIX,
    COMMAND_LINE_PREFIX,
    COOKIE,
    CSRF_HEADER,
    check_browser,
    check_origin,
    read_cookie,
)
from services.gateway.sessions.schemas import CurrentSession, TenantSelection
from services.gateway.sessions.service import (
    Device,
    SessionOwner,
    describe_session,
    end_by_secret,
    find_owner,
    select_tenant,
)
from services.gateway.sign_in import service
from services.gateway.sign_in.schemas import (
    LinkAcceptance,
    LinkBody,
    LinkView,
    PasskeySignIn,
    SignedIn,
    SignInBody,
)
from shared.database import PLATFORM, Database
from shared.errors import Unauthenticated
from shared.keys import keys_of
from shared.web.app import database_of

OPEN_PATHS: Final = frozenset(
    {
        "/v1/sign-in",
        "/v1/sign-in/passkey",
        "/v1/sign-in/passkey/begin",
        "/v1/sign-in/link",
        "/v1/sign-in/link/accept",
        "/v1/sign-in/link/join",
        "/v1/session",
    }
)
"""Whoever calls them has no token yet, or shows a session itself."""

OwnDatabase = Annotated[Database, Depends(database_of)]
TenantHeader = Annotated[
    TenantName | None, Header(alias="sentineliq-tenant", description="The tenant that is meant.")
]

router = APIRouter(prefix="/v1", tags=["sign-in"])


def _from_own_page(request: Request) -> None:
    """Refuse what a page of another site lets a browser send."""
    origin = request.headers.get("origin")
    if origin is not None:
        check_origin(origin, request.headers.get("host", ""), _base_url(request))


def session_secret(request: Request) -> str:
    """Return the secret of the session that a request shows, as the cookie or as the token.

    Raises:
        Unauthenticated: it shows none.
        Forbidden: a cookie shows it, and the request changes something without a CSRF token.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.startswith(COMMAND_LINE_PREFIX):
        return token
    secret = read_cookie(request.headers.get("cookie", ""))
    if secret is None or not secret.startswith(BROWSER_PREFIX):
        raise Unauthenticated("You are not signed in.")
    headers = request.headers
    check_browser(
        request.method,
        secret,
        headers.get(CSRF_HEADER),
        headers.get("origin"),
        headers.get("host", ""),
        _base_url(request),
    )
    return secret


SessionSecret = Annotated[str, Depends(session_secret)]
OwnPage = Depends(_from_own_page)


@router.post("/sign-in", dependencies=[OwnPage])
def sign_in(
    request: Request, response: Response, database: OwnDatabase, body: SignInBody
) -> SignedIn:
    """Sign in with a login and a password."""
    keys = keys_of(request.app.state.settings)
    secret, owner = service.sign_in(database, keys, body, _device(request, body.device))
    return _signed_in(response, secret, owner)


@router.post("/sign-in/passkey/begin", dependencies=[OwnPage])
def begin_passkey(database: OwnDatabase, party: Party) -> PasskeyOptions:
    """Get what a browser needs to sign in with a passkey."""
    return begin_use(database, party)


@router.post("/sign-in/passkey", dependencies=[OwnPage])
def sign_in_by_passkey(
    request: Request,
    response: Response,
    database: OwnDatabase,
    party: Party,
    body: PasskeySignIn,
) -> SignedIn:
    """Sign in with a passkey."""
    device = _device(request, body.device)
    secret, owner = service.sign_in_by_passkey(database, party, body, device)
    return _signed_in(response, secret, owner)


@router.post("/sign-in/link", dependencies=[OwnPage])
def view_link(database: OwnDatabase, body: LinkBody) -> LinkView:
    """What a link is for; it stays valid."""
    return service.view_link(database, body.secret)


@router.post("/sign-in/link/accept", dependencies=[OwnPage], responses={204: {}})
def accept_link(
    request: Request, response: Response, database: OwnDatabase, body: LinkAcceptance
) -> SignedIn | None:
    """Create the invited account and sign in; or set a new password, which signs nobody in."""
    begun = service.accept_link(database, body, _device(request, body.device))
    if begun is None:
        response.status_code = 204
        return None
    return _signed_in(response, *begun)


@router.post("/sign-in/link/join")
def join_tenant(database: OwnDatabase, secret: SessionSecret, body: LinkBody) -> CurrentSession:
    """Accept an invitation with the account that is signed in."""
    owner = service.join_tenant(database, secret, body.secret)
    return describe_session(owner, None, secret)


@router.get("/session")
def get_session(
    database: OwnDatabase, secret: SessionSecret, tenant: TenantHeader = None
) -> CurrentSession:
    """Who is signed in, in which tenant, and what is allowed."""
    with database.transaction(PLATFORM) as session:
        owner = find_owner(session, secret)
    return describe_session(owner, tenant, secret)


@router.put("/session")
def change_session(
    database: OwnDatabase, secret: SessionSecret, body: TenantSelection
) -> CurrentSession:
    """Choose the tenant that requests of this session are for."""
    return select_tenant(database, secret, body.tenant)


@router.delete("/session", status_code=204)
def sign_out(response: Response, database: OwnDatabase, secret: SessionSecret) -> None:
    """End the session."""
    end_by_secret(database, secret)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def _base_url(request: Request) -> str:
    return str(request.app.state.settings.service_url("gateway"))


def _device(request: Request, kind: str) -> Device:
    address = request.client.host if request.client is not None else ""
    agent = request.headers.get("user-agent", "")
    return Device(kind == "browser", address, agent)


def _signed_in(response: Response, secret: str, owner: SessionOwner) -> SignedIn:
    described = describe_session(owner, None, secret)
    if not secret.startswith(BROWSER_PREFIX):
        return SignedIn(session=described, token=secret)
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="lax")
    return SignedIn(session=described, token=None)
