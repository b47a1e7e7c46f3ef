"""The console as an ASGI app: every request is admitted here before a screen sees it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.console.addresses import BASE, page_address
from services.gateway.console.api_client import ApiRefusal, ServiceApis
from services.gateway.console.assets import asset_response
from services.gateway.console.forms import FormFields, read_form
from services.gateway.console.identity import IdentityDoor
from services.gateway.console.live_stream import LiveDoor
from services.gateway.console.pages import environment_of, render
from services.gateway.console.preferences import read_preferences
from services.gateway.console.screens.registry import OPEN_SCREENS, SCREENS
from services.gateway.console.security import HEADERS, is_same_origin
from services.gateway.console.sessions import ConsoleSession, SessionCookies, start_session
from services.gateway.console.visits import ConsoleVisit, Screen, make_request_id
from shared.database import Database
from shared.errors import Forbidden, SentinelIQError
from shared.keys import keys_of
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.token_registry import TokenRegistry

log = get_logger(__name__)

_MIN_PACKED: Final = 1_000
_PACKING_LEVEL: Final = 4
"""Level 9 takes four times as long for a tenth less."""
_LEADING_HERE: Final = {"/": "/", "/welcome": "/welcome"}
"""Paths outside the console that lead to a page of it. A browser keeps what is behind the `#`."""
Endpoint = Callable[[Request], Awaitable[Response]]


class Console:
    """The console of an installation.

    Args:
        settings: addresses of the services, and the keys.
        database: the gateway's, for identity alone.
        registry: of revoked tokens; None leaves them to the services.
    """

    def __init__(
        self, settings: Settings, database: Database, registry: TokenRegistry | None = None
    ) -> None:
        self._identity = IdentityDoor(settings, database, registry)
        self.live = LiveDoor(settings, self._identity)
        self.apis = ServiceApis(settings)
        self._cookies = SessionCookies(keys_of(settings))
        routes = [Route(f"{BASE}/assets/{{digest}}/{{name}}", _asset)]
        routes += [Route(f"{BASE}/live", self._listen)]
        routes += [self._route(screen, is_open=screen in OPEN_SCREENS) for screen in SCREENS]
        app = Starlette(
            routes=routes,
            exception_handlers={404: self._missing, 405: self._missing, 500: self._failed},
        )
        self._app: ASGIApp = GZipMiddleware(
            app, minimum_size=_MIN_PACKED, compresslevel=_PACKING_LEVEL
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def _route(self, screen: Screen, *, is_open: bool) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, screen, is_open=is_open)

        return Route(f"{BASE}{screen.path}", endpoint, methods=[screen.method])

    async def _answer(self, request: Request, screen: Screen, *, is_open: bool) -> Response:
        session = self._cookies.read(request)
        visit = self._visit(request, await self._admitted(request, session))
        try:
            if screen.method == "POST":
                visit = replace(visit, form=await _admitted_form(visit))
            if not is_open and visit.session.principal is None:
                response = _to_sign_in(request)
            elif screen.permission and not visit.may(screen.permission):
                raise Forbidden("Whoever administers your tenant can give you another role.")
            else:
                response = await screen.handler(visit)
        except SentinelIQError as error:
            response = visit.refused(ApiRefusal("gateway", error.status, error.code, error.message))
        if visit.next_session or session is None:
            self._cookies.write(request, response, visit.next_session or visit.session)
        return _protected(response, visit.request_id)

    async def _listen(self, request: Request) -> Response:
        """A stream of changes; who has not signed in is told so, since a script cannot follow."""
        session = await self._admitted(request, self._cookies.read(request))
        try:
            response = self.live.answer(request, session)
        except SentinelIQError as error:
            response = Response(status_code=error.status)
        return _protected(response, make_request_id())

    async def _admitted(self, request: Request, session: ConsoleSession | None) -> ConsoleSession:
        """The session of a request, and who it belongs to now."""
        if session is None:
            return start_session()
        if not session.credential:
            return session
        address = request.client.host if request.client else ""
        return session.admitted(await self._identity.admit(session.credential, address))

    def _visit(self, request: Request, session: ConsoleSession) -> ConsoleVisit:
        preferences = read_preferences(request)
        environment = environment_of(preferences.language)
        return ConsoleVisit(request, session, self.apis, preferences, environment, self._identity)

    async def _missing(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        message = "There is no such page." if status == 404 else "This page takes no such request."
        return await self._error_page(request, ApiRefusal("gateway", status, "not-found", message))

    async def _failed(self, request: Request, error: Exception) -> Response:
        log.error("console.page_failed", path=request.url.path, error=repr(error))
        message = "The page could not be made. The gateway's error log has the details."
        return await self._error_page(
            request, ApiRefusal("gateway", 500, "internal-error", message)
        )

    async def _error_page(self, request: Request, refusal: ApiRefusal) -> Response:
        session = await self._admitted(request, self._cookies.read(request))
        visit = self._visit(request, session)
        text = render(visit.environment, "error.html", {"visit": visit, "refusal": refusal})
        return _protected(HTMLResponse(text, refusal.status), visit.request_id)


async def _admitted_form(visit: ConsoleVisit) -> FormFields:
    """The form of a request that changes something.

    Raises:
        Forbidden: it comes from another origin, or its form was not made for this browser.
    """
    if not is_same_origin(visit.request):
        raise Forbidden("This request came from another site. Nothing was changed.")
    form = await read_form(visit.request)
    if not visit.session.accepts(form.raw("form_secret")):
        raise Forbidden(
            "This form was made for another sign-in. Load the page again; nothing was changed."
        )
    return form


def _protected(response: Response, request_id: str) -> Response:
    """Add the policy, the id of the request, and that nobody keeps a copy."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Request-ID"] = request_id
    response.headers.update(HEADERS)
    return response


def _to_sign_in(request: Request) -> Response:
    """Where a person signs in and then gets the page that they wanted."""
    wish = request.url.path.removeprefix(BASE) if request.method == "GET" else ""
    query = f"?{request.url.query}" if request.url.query and wish else ""
    return RedirectResponse(page_address("/sign-in", next=f"{wish}{query}"), 303)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    digest = request.path_params["digest"]
    return asset_response(name, digest, request.headers) or Response(status_code=404)


class _ConsoleDoor:
    """Leads requests below the console's path to it, and all others to the gateway's API.

    The console stands before the API: a browser that opens a page has no token to show.
    """

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._console.live.close()
                await self._console.apis.close()
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif path in _LEADING_HERE:
            await RedirectResponse(page_address(_LEADING_HERE[path]), 303)(scope, receive, send)
        elif path == BASE or path.startswith(f"{BASE}/"):
            await self._console(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def add_console(app: FastAPI, settings: Settings, database: Database) -> None:
    """Offer the console below the gateway's address.

    Args:
        app: the gateway's API, with all its other middleware.
        settings: addresses of the services, and the keys.
        database: the gateway's.
    """
    console = Console(settings, database, app.state.token_registry)
    app.state.endings = [console.live.end_streams]
    app.add_middleware(_ConsoleDoor, console=console)
