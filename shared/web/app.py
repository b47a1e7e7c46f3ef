"""The base of all APIs: problem details, tokens, health checks, metrics, request logs."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

import msgspec
import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from opentelemetry.trace import SpanKind
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.auth import Principal, verify_token
from shared.database import Database
from shared.errors import SentinelIQError, Unauthenticated
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.telemetry.metrics import HTTP_SECONDS
from shared.telemetry.tracing import WorkSpan
from shared.web.query_parameters import QueryParameters

log = get_logger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Limit of a request body, except where a route takes uploads."""

_bearer = HTTPBearer(auto_error=False, description="A token made by `sentineliq tokens create`.")


class FastPath(NamedTuple):
    """The plain case of a hot GET, answered before FastAPI, whose routing costs more than a lookup.

    The route of the same path answers all other cases, among them tokens that are not valid.

    Attributes:
        path: the route's path.
        permission: the permission that the route requires.
        answer: computes the JSON body from the principal and the query string; None leaves the
            request to the route.
    """

    path: str
    permission: str
    answer: Callable[[Principal, bytes], Awaitable[bytes | None]]


def create_api(
    service: str,
    title: str,
    routers: Sequence[APIRouter],
    settings: Settings,
    database: Database,
    *,
    uploads: Sequence[str] = (),
    fast_paths: Sequence[FastPath] = (),
) -> FastAPI:
    """Build a service's API from its routers.

    Args:
        service: the service's name.
        title: the name shown in `/docs`.
        routers: the service's routes.
        settings: kept as `app.state.settings`.
        database: kept as `app.state.database`; closed with the app.
        uploads: paths whose body may exceed `MAX_BODY_BYTES`, since they stream it to a file.
        fast_paths: plain cases that are answered before FastAPI.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(title=f"SentinelIQ {title}", version="1", lifespan=lifespan, redoc_url=None)
    app.state.service = service
    app.state.settings = settings
    app.state.database = database
    app.add_exception_handler(SentinelIQError, _sentineliq_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(DBAPIError, _database_problem)
    app.add_middleware(
        _RequestMiddleware,
        api=app,
        uploads=frozenset(uploads),
        fast_paths={fast_path.path: fast_path for fast_path in fast_paths},
        parameters=QueryParameters(routers),
    )
    for router in routers:
        app.include_router(router)
    app.include_router(_operations())
    return app


def database_of(request: Request) -> Database:
    """Return the service's database."""
    database: Database = request.app.state.database
    return database


def json_response(body: Any, status: int = 200) -> Response:
    """Encode a body that is complete and typed, without validating it against its schema."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def require_permission(permission: str) -> Any:
    """Return the dependency of a route that needs a permission; its value is the `Principal`."""

    async def principal(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Principal:
        token = credentials.credentials if credentials else None
        return _authenticate(request, token, permission)

    return Depends(principal)


def authorize(request: Request, permission: str) -> Principal:
    """Return the principal of a hot route's request, without the cost of FastAPI's dependencies.

    Such a route documents its permission with `openapi_security` in `openapi_extra`.

    Raises:
        Unauthenticated: there is no valid token.
        Forbidden: the token's role lacks the permission.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    is_bearer = scheme.lower() == "bearer" and token != ""
    return _authenticate(request, token if is_bearer else None, permission)


def openapi_security(permission: str) -> dict[str, Any]:
    """Document the token and permission of a route that calls `authorize`."""
    return {"security": [{_bearer.scheme_name: []}], "x-permission": permission}


def _authenticate(request: Request, token: str | None, permission: str) -> Principal:
    if token is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    principal = verify_token(request.app.state.settings.secret_key, token)
    principal.require(permission)
    structlog.contextvars.bind_contextvars(tenant=principal.tenant, actor=principal.actor)
    return principal


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
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


async def _sentineliq_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SentinelIQError):
        raise error
    headers = {"Retry-After": str(int(error.retry_after))} if error.retry_after else {}
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
        return _not_utf8(error.__cause__)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return problem(error.status_code, code, str(error.detail), dict(error.headers or {}))


def _not_utf8(error: UnicodeDecodeError) -> Response:
    message = f"The body is not UTF-8: its byte {error.start} is no part of a text."
    return problem(422, "invalid-input", message, field="body")


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


def _unknown_parameter(name: str, parameters: Sequence[str]) -> Response:
    shown = name[:80].encode("unicode_escape").decode()
    choice = f"it has {', '.join(parameters)}" if parameters else "it has none"
    return problem(
        422,
        "invalid-input",
        f"This route has no parameter {shown!r}; {choice}.",
        field=shown,
    )


class _RequestMiddleware:
    """Traces, times, logs and limits every request. Plain ASGI, since it must not buffer bodies."""

    def __init__(
        self,
        app: ASGIApp,
        api: FastAPI,
        uploads: frozenset[str],
        fast_paths: Mapping[str, FastPath],
        parameters: QueryParameters,
    ) -> None:
        self._app = app
        self._parameters = parameters
        self._service: str = api.state.service
        self._secret: SecretStr = api.state.settings.secret_key
        self._uploads = uploads
        self._fast_paths = fast_paths

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
            authorization = headers.get(b"authorization", "")
            if await self._answer_fast(scope, authorization, receive, send_and_note_status):
                return
            unknown = self._parameters.unknown(scope)
            if unknown is not None:
                await _unknown_parameter(*unknown)(scope, receive, send_and_note_status)
                return
            await self._app(scope, self._limit_body(scope["path"], receive), send_and_note_status)
        finally:
            path = getattr(scope.get("route"), "path", "unmatched")
            self._record(scope["method"], path, status, time.perf_counter() - started)
            error = f"HTTP {status}" if status >= 500 else None
            span.end(error, name=f"{scope['method']} {path}")

    async def _answer_fast(
        self, scope: Scope, authorization: str, receive: Receive, send: Send
    ) -> bool:
        """Answer the plain case of a hot route; return whether the request was one."""
        fast_path = self._fast_paths.get(scope["path"])
        if fast_path is None or scope["method"] != "GET":
            return False
        scheme, _, token = authorization.partition(" ")
        try:
            principal = verify_token(self._secret, token if scheme.lower() == "bearer" else "")
            principal.require(fast_path.permission)
        except SentinelIQError:
            return False
        structlog.contextvars.bind_contextvars(tenant=principal.tenant, actor=principal.actor)
        try:
            body = await fast_path.answer(principal, scope["query_string"])
        except SentinelIQError as error:
            scope["route"] = fast_path
            response = await _sentineliq_problem(Request(scope), error)
            await response(scope, receive, send)
            return True
        if body is None:
            return False
        scope["route"] = fast_path
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True

    def _limit_body(self, path: str, receive: Receive) -> Receive:
        if path in self._uploads:
            return receive
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                # FastAPI turns any other error of `receive` into a 400.
                raise HTTPException(413, f"A request body may have {MAX_BODY_BYTES:,} bytes here.")
            return message

        return receive_within_limit

    def _record(self, method: str, path: str, status: int, seconds: float) -> None:
        HTTP_SECONDS.labels(self._service, method, path, status).observe(seconds)
        # A line for each successful read would cost more than the read: the metric counts them.
        if method != "GET" or status >= 400 or seconds > 1:
            log.info(
                "request", method=method, route=path, status=status, ms=round(seconds * 1000, 1)
            )
