"""Routes of identity providers, and of signing in there."""

from typing import Annotated, Final
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.gateway.providers import service
from services.gateway.providers.schemas import (
    IdentityView,
    ProviderChoice,
    ProviderCreate,
    ProviderView,
    RulesPatch,
)
from services.gateway.providers.sign_in import CALLBACK, ProviderSignIn
from services.gateway.sessions.cookies import COOKIE
from services.gateway.sessions.service import Device
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput
from shared.keys import keys_of
from shared.tenants import MAX_NAME_LENGTH
from shared.web.app import database_of, require_permission

OPEN_PATHS: Final = frozenset(
    {
        "/v1/sign-in/providers",
        "/v1/sign-in/provider",
        CALLBACK,
        "/v1/sign-in/provider/logout",
    }
)
"""Who signs in at a provider has no token yet; the provider itself shows a signed token."""
_COOKIE: Final = "__Host-sentineliq-provider"
_MAX_FORM: Final = 64 * 1024

Admin = Annotated[Principal, require_permission("providers:write")]
Reader = Annotated[Principal, require_permission("members:read")]
OwnDatabase = Annotated[Database, Depends(database_of)]
TenantQuery = Annotated[str, Query(max_length=MAX_NAME_LENGTH)]
ProviderQuery = Annotated[UUID, Query(alias="provider")]
NextQuery = Annotated[
    str, Query(alias="next", max_length=500, description="A page of this address.")
]
PersonPath = Annotated[UUID, Path()]

router = APIRouter(prefix="/v1", tags=["identity providers"])


def _sign_in_of(request: Request, database: OwnDatabase) -> ProviderSignIn:
    return ProviderSignIn(request.app.state.settings, database)


SignIn = Annotated[ProviderSignIn, Depends(_sign_in_of)]


@router.get("/providers")
def list_providers(principal: Admin, database: OwnDatabase) -> list[ProviderView]:
    """The providers of the tenant, without their secrets."""
    return service.list_providers(database, principal)


@router.post("/providers", status_code=201)
def create_provider(
    request: Request, principal: Admin, database: OwnDatabase, body: ProviderCreate
) -> ProviderView:
    """Add a provider to the tenant."""
    keys = keys_of(request.app.state.settings)
    return service.create_provider(database, keys, principal, body)


@router.put("/providers/{provider_id}/rules")
def change_rules(
    principal: Admin, database: OwnDatabase, provider_id: UUID, body: RulesPatch
) -> ProviderView:
    """Replace the rules by which roles follow from claims."""
    return service.change_rules(database, principal, provider_id, body)


@router.delete("/providers/{provider_id}", status_code=204)
def delete_provider(principal: Admin, database: OwnDatabase, provider_id: UUID) -> None:
    """Delete a provider."""
    service.delete_provider(database, principal, provider_id)


@router.get("/members/{person_id}/identities")
def explain_person(
    principal: Reader, database: OwnDatabase, person_id: PersonPath
) -> list[IdentityView]:
    """What providers last said of a person, and why each rule did or did not match."""
    return service.explain_person(database, principal, person_id)


@router.get("/sign-in/providers")
def list_choices(database: OwnDatabase, tenant: TenantQuery) -> list[ProviderChoice]:
    """The providers that persons of a tenant may sign in with."""
    return service.choices_of(database, tenant)


@router.get("/sign-in/provider", status_code=303, response_class=Response)
async def begin_sign_in(
    sign_in: SignIn, provider_id: ProviderQuery, next_page: NextQuery = "/"
) -> Response:
    """Lead a browser to a provider."""
    begun = await sign_in.begin(provider_id, _own_page(next_page))
    response = RedirectResponse(begun.address, 303)
    response.set_cookie(
        _COOKIE,
        begun.browser_secret,
        max_age=600,
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/sign-in/provider/callback", status_code=303, response_class=Response)
async def finish_sign_in(request: Request, sign_in: SignIn) -> Response:
    """Begin a session with what a browser brings from a provider."""
    parameters = parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=50)
    browser_secret = request.cookies.get(_COOKIE)
    address = request.client.host if request.client is not None else ""
    device = Device(True, address, request.headers.get("user-agent", ""))
    ended = await sign_in.finish(parameters, browser_secret, device)
    response = RedirectResponse(ended.next, 303)
    response.delete_cookie(_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    response.set_cookie(COOKIE, ended.secret, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.post("/sign-in/provider/logout", status_code=204)
async def end_sessions(request: Request, sign_in: SignIn, provider_id: ProviderQuery) -> None:
    """End the sessions that a provider ends: its back-channel logout."""
    body = await request.body()
    if len(body) > _MAX_FORM:
        raise InvalidInput("The form is too large.")
    try:
        fields = dict(parse_qsl(body.decode("ascii"), max_num_fields=10))
    except ValueError as error:
        raise InvalidInput("The body is no form.") from error
    await sign_in.end_sessions(provider_id, fields.get("logout_token", ""))


def _own_page(page: str) -> str:
    is_own = page.startswith("/") and not page.startswith("//") and "\\" not in page
    return page if is_own and page.isprintable() else "/"
