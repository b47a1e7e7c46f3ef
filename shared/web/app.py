"""The base of all APIs: problem details, tokens, health checks, metrics, request logs."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from math import ceil
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.auth import Principal
from shared.database import Database
from shared.errors import SentinelIQError, Unauthenticated
from shared.keys import keys_of
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import HTTP_SECONDS
from shared.telemetry.tracing import WorkSpan
from shared.token_registry import TokenRegistry
from shared.web import documentation
from shared.web.authentication import OPEN_PATHS, authenticate, authenticate_widely
from shared.web.dialects import dialect_of
from shared.web.fast_paths import FastPath
from shared.web.problems import PROBLEM_TYPE, add_problems
from shared.web.rate_limits import READ_COST, RequestGates, TokenBuckets, cost_of
from shared.web.refusals import RefusalAudit, RefusalLog
from shared.web.request_body import RequestBodies, receive_once, receive_upload
from shared.web.route_table import PERMISSION, RouteFacts, RouteTable, check_parameters

log = get_logger(__name__)

_PRINCIPAL = "sentineliq.principal"
"""The key of a request's scope that holds the principal of its token."""
_TRUST = "sentineliq.trust"
"""The ASGI extension of `shared.web.protocol`."""

_bearer = HTTPBearer(auto_error=False, description="A token made by `sentineliq tokens create`.")


def create_api(  # noqa: PLR0913  # what an API consists of
    service: str,
    title: str,
    routers: Sequence[APIRouter],
    settings: Settings,
    database: Database,
    *,
    bodies: RequestBodies | None = None,
    fast_paths: Sequence[FastPath] = (),
    own_access: Sequence[str] = (),
) -> FastAPI:
    """Build a service's API from its routers.

    Args:
        service: the service's name.
        title: the name shown in `/docs`.
        routers: the service's routes.
        settings: kept as `app.state.settings`.
        database: kept as `app.state.database`; closed with the app.
        bodies: the limits of request bodies; None gives all routes the smallest.
        fast_paths: plain cases that are answered before FastAPI.
        own_access: beginnings of paths whose routes admit requests by credentials of their own.
    """
    tokens = TokenRegistry(database)
    # The pages of FastAPI's own load their program from elsewhere.
    app = FastAPI(
        title=f"SentinelIQ {title}",
        version="1",
        lifespan=partial(_running, database, tokens),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.settings = settings
    app.state.database = database
    app.state.token_registry = tokens
    app.state.open_paths = frozenset()
    app.add_exception_handler(SentinelIQError, _sentineliq_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(DBAPIError, _database_problem)
    app.add_exception_handler(ClientDisconnect, _unfinished_body)
    routes = RouteTable()
    app.add_middleware(
        _RequestMiddleware,
        api=app,
        bodies=bodies or RequestBodies(),
        fast_paths={fast_path.path: fast_path for fast_path in fast_paths},
        own_access=tuple(own_access),
        routes=routes,
        tokens=tokens,
    )
    for router in routers:
        app.include_router(router)
    routes.add(app.routes)
    app.include_router(documentation.router)
    app.include_router(_operations())
    add_problems(app, OPEN_PATHS)
    return app


@asynccontextmanager
async def _running(database: Database, tokens: TokenRegistry, _app: FastAPI) -> AsyncIterator[None]:
    """Keep the revoked tokens while the app runs, and close the database after it."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(tokens.run(stopping))
        yield
        stopping.set()
    database.close()


def database_of(request: Request) -> Database:
    """Return the service's database."""
    database: Database = request.app.state.database
    return database


def json_response(body: Any, status: int = 200) -> Response:
    """Encode a body that is complete and typed, without validating it against its schema."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def require_permission(permission: str) -> Any:
    """Return the dependency of a route that needs a permission; its value is the `Principal`."""

    async def principal(request: Request, _documented: Annotated[Any, Depends(_bearer)]) -> Any:
        return authorize(request, permission)

    # The table of routes reads it: a role that is too low is refused before the body is read.
    principal.permission = permission  # type: ignore[attr-defined]
    return Depends(principal)


def authorize(request: Request, permission: str) -> Principal:
    """Return the principal of a hot route's request, without the cost of FastAPI's dependencies.

    Such a route documents its permission with `openapi_security` in `openapi_extra`.

    Raises:
        Unauthenticated: there is no valid token.
        Forbidden: the token's role lacks the permission.
    """
    principal: Principal | None = request.scope.get(_PRINCIPAL)
    if principal is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    principal.require(permission)
    return principal


def openapi_security(permission: str) -> dict[str, Any]:
    """Document the token and permission of a route that calls `authorize`."""
    return {"security": [{_bearer.scheme_name: []}], PERMISSION: permission}


def _operations() -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    def readyz(request: Request) -> dict[str, str]:
        """The process and its database answer."""
        request.app.state.database.check()
        return {"status": "ready"}

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def problem(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, **details: Any
) -> Response:
    """RFC 9457 problem details."""
    body = {"type": f"urn:sentineliq:problem:{code}", "title": message, "status": status, **details}
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM_TYPE)


async def _sentineliq_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SentinelIQError):
        raise error
    headers = {"Retry-After": str(ceil(error.retry_after))} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.message, headers, **error.details)


def _field(detail: Mapping[str, Any]) -> str:
    """Return the field of a validation error as JSON names it: `name`, `conditions.score`."""
    place, *path = map(str, detail["loc"])
    return ".".join(path) if path and detail["type"] != "json_invalid" else place


async def _validation_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [{"field": _field(detail), "message": detail["msg"]} for detail in error.errors()]
    first = errors[0]
    return problem(
        422,
        "invalid-input",
        f"{first['field']}: {first['message']}",
        field=first["field"],
        errors=errors,
    )


async def _http_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if isinstance(error.__cause__, UnicodeDecodeError):
        message = f"The body is not UTF-8: its byte {error.__cause__.start} is no part of a text."
        return problem(422, "invalid-input", message, field="body")
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem(error.status_code, code, str(error.detail), dict(error.headers or {}))


async def _unfinished_body(_request: Request, _error: Exception) -> Response:
    headers = {"connection": "close"}
    return problem(400, "bad-request", "The body ended before it was whole.", headers)


async def _database_problem(_request: Request, error: Exception) -> Response:
    # Values that PostgreSQL refuses (a NUL in a text) are the caller's error, the rest is ours.
    original = getattr(error, "orig", error)
    if type(original).__name__ in {
        "DataError",
        "UntranslatableCharacter",
        "CharacterNotInRepertoire",
    }:
        return problem(
            422,
            "invalid-input",
            "A value cannot be stored: it has characters that text may not have.",
        )
    if type(original).__name__ == "InsufficientPrivilege":
        return problem(403, "forbidden", "That belongs to a tenant this token may not write in.")
    log.error("api.database_error", error=str(original))
    return problem(500, "internal-error", "The database refused; the details are in the error log.")


def _admit(scope: Scope, principal: Principal) -> None:
    """Tell the rest of the request its principal, and the server that its connection has one."""
    scope[_PRINCIPAL] = principal
    trust = scope.get("extensions", {}).get(_TRUST)
    if trust is not None:
        trust()
    structlog.contextvars.bind_contextvars(tenant=principal.tenant, actor=principal.actor)


class _RequestMiddleware:
    """Traces, times, logs and limits every request. Plain ASGI, since it must not buffer bodies."""

    def __init__(
        self,
        app: ASGIApp,
        api: FastAPI,
        bodies: RequestBodies,
        fast_paths: Mapping[str, FastPath],
        own_access: tuple[str, ...],
        routes: RouteTable,
        tokens: TokenRegistry,
    ) -> None:
        self._app = app
        self._open_paths: frozenset[str] = OPEN_PATHS | api.state.open_paths
        self._tokens = tokens
        self._routes = routes
        self._bodies = bodies
        self._service: str = api.state.service
        self._keys = keys_of(api.state.settings)
        self._fast_paths = fast_paths
        self._own_access = own_access
        self._refusals = RefusalLog()
        self._refused = RefusalAudit(api.state.database)
        self._buckets = TokenBuckets(api.state.settings.api_rate)
        self._gates = RequestGates(api.state.database.connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        span = WorkSpan(scope["method"], headers.get(b"traceparent"), SpanKind.SERVER)
        span.start()
        status = 500
        started = time.perf_counter()

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, headers, receive, send_and_note_status)
            if status == 403:
                await self._record_refusal(scope)
        except ClientDisconnect:
            status = 400  # nobody reads an answer
        finally:
            path = getattr(scope.get("route"), "path", "unmatched")
            self._record(scope["method"], path, status, time.perf_counter() - started)
            error = f"HTTP {status}" if status >= 500 else None
            span.end(error, name=f"{scope['method']} {path}")

    async def _record_refusal(self, scope: Scope) -> None:
        principal: Principal | None = scope.get(_PRINCIPAL)
        if principal is not None:
            route = getattr(scope.get("route"), "path", "unmatched")
            await self._refused.record(principal, f"{scope['method']} {route}")

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, str], receive: Receive, send: Send
    ) -> None:
        dialect = dialect_of(scope)
        if dialect is not None:
            send = dialect.translating(send)
        try:
            path = scope["path"]
            if path not in self._open_paths and not path.startswith(self._own_access):
                if dialect is None:
                    authorization = headers.get(b"authorization", "")
                    principal = authenticate(self._keys, authorization, self._service)
                else:
                    principal = authenticate_widely(self._keys, headers, self._service)
                self._tokens.check(principal)
                _admit(scope, principal)
                if await self._answer_fast(scope, principal, send):
                    return
                await self._answer_route(scope, headers, receive, send, principal)
            else:
                await self._pass_on(scope, headers, receive, send)
        except SentinelIQError as error:
            response = await _sentineliq_problem(Request(scope), error)
            await response(scope, receive, send)

    async def _answer_route(
        self,
        scope: Scope,
        headers: Mapping[bytes, str],
        receive: Receive,
        send: Send,
        principal: Principal,
    ) -> None:
        """Answer within the bucket of the token, and in the turn of the tenant."""
        facts = self._check_route(scope, principal)
        path = facts.path if facts else "unmatched"
        self._buckets.take(principal, cost_of(scope["method"], path))
        gate = self._gates.gate_of(scope["method"], path)
        async with gate.slot(principal.tenant) as slot:

            async def send_and_release(message: Message) -> None:
                # Who reads an answer slowly, or follows a stream, has no slot.
                slot.release()
                await send(message)

            await self._pass_on(scope, headers, receive, send_and_release)

    async def _pass_on(
        self, scope: Scope, headers: Mapping[bytes, str], receive: Receive, send: Send
    ) -> None:
        if not self._bodies.has_body(headers):
            await self._app(scope, receive, send)
        elif self._bodies.is_upload(scope):
            await self._app(scope, receive_upload(receive), send)
        else:
            await self._answer_with_body(scope, headers, receive, send)

    def _check_route(self, scope: Scope, principal: Principal) -> RouteFacts | None:
        """Refuse by role and parameters, before the body is read."""
        facts = self._routes.find(scope)
        if facts is None:
            return None
        scope["route"] = facts
        if facts.permission is not None:
            principal.require(facts.permission)
        check_parameters(facts, scope["query_string"])
        return facts

    async def _answer_with_body(
        self, scope: Scope, headers: Mapping[bytes, str], receive: Receive, send: Send
    ) -> None:
        body = await self._bodies.read(scope, headers, receive)
        try:
            await self._app(scope, receive_once(body, receive), send)
        finally:
            self._bodies.forget(len(body))

    async def _answer_fast(self, scope: Scope, principal: Principal, send: Send) -> bool:
        """Answer the plain case of a hot route; return whether the request was one."""
        fast_path = self._fast_paths.get(scope["path"])
        if fast_path is None or scope["method"] != "GET":
            return False
        scope["route"] = fast_path
        principal.require(fast_path.permission)
        self._buckets.take(principal, READ_COST)
        body = await fast_path.answer(principal, scope["query_string"])
        if body is None:
            return False
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True

    def _record(self, method: str, path: str, status: int, seconds: float) -> None:
        HTTP_SECONDS.labels(self._service, method, path, status).observe(seconds)
        if status == 401:
            self._refusals.note(path)
            return
        # A line for each successful read would cost more than the read: the metric counts them.
        if method != "GET" or status >= 400 or seconds > 1:
            log.info(
                "request", method=method, route=path, status=status, ms=round(seconds * 1000, 1)
            )
