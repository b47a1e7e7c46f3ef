"""What all five APIs share: problem details, tokens, health, metrics, request logs."""

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
from shared.telemetry.tracing import continue_trace
from shared.web.query_parameters import QueryParameters

log = get_logger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
"""A request body may have this size unless its route takes uploads."""

_bearer = HTTPBearer(auto_error=False, description="A token made by `sentineliq tokens create`.")


class FastPath(NamedTuple):
    """The plain case of a hot GET: FastAPI's routing and dependencies cost more than looking a value up.

    The route stands beside it and answers all that is not plain, a token that does not hold included.

    Attributes:
        path: of the route.
        permission: what the route needs.
        answer: from who asks and the query string to JSON; None for what is not plain.
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
    """A service's API around its routers.

    Args:
        service: the service's name.
        title: for people, in `/docs`.
        routers: its routes.
        settings: found again as `app.state.settings`.
        database: found again as `app.state.database`; closed with the app.
        uploads: paths whose body may be larger than `MAX_BODY_BYTES`, since they stream it to a file.
        fast_paths: routes whose plain case is answered before the framework looks at it.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(title=f"SentinelIQ {title}", version="1", lifespan=lifespan, redoc_url=None)
    app.state.service, app.state.settings, app.state.database = service, settings, database
    app.add_exception_handler(SentinelIQError, _known_problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(DBAPIError, _database_problem)
    by_path, parameters = {path.path: path for path in fast_paths}, QueryParameters(routers)
    app.add_middleware(
        _Requests, api=app, uploads=tuple(uploads), fast_paths=by_path, parameters=parameters
    )
    for router in routers:
        app.include_router(router)
    app.include_router(_operations())
    return app


def database_of(request: Request) -> Database:
    """The service's database."""
    database: Database = request.app.state.database
    return database


def json_response(answer: Any, status: int = 200) -> Response:
    """An answer that is complete and typed already: encoded once, and not validated against its own schema."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def require_permission(permission: str) -> Any:
    """The dependency of a route that needs a permission; gives the `Principal`."""

    async def principal(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Principal:
        return _principal(request, credentials.credentials if credentials else None, permission)

    return Depends(principal)


def authorize(request: Request, permission: str) -> Principal:
    """Who is asking, for a hot route: FastAPI's dependencies cost more than looking a value up.

    Such a route says what it needs in `openapi_extra` (`openapi_security`).
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return _principal(request, token if scheme.lower() == "bearer" and token else None, permission)


def openapi_security(permission: str) -> dict[str, Any]:
    """What the documentation of a hot route says about its token and permission."""
    return {"security": [{_bearer.scheme_name: []}], "x-permission": permission}


def _principal(request: Request, token: str | None, permission: str) -> Principal:
    if token is None:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    found = verify_token(request.app.state.settings.secret_key, token)
    found.require(permission)
    structlog.contextvars.bind_contextvars(tenant=found.tenant, actor=found.actor)
    return found


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


async def _known_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SentinelIQError):
        raise error
    headers = {"Retry-After": str(int(error.retry_after))} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.message, headers, **error.details)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"field": ".".join(str(part) for part in found["loc"]), "message": found["msg"]}
        for found in error.errors()
    ]
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
    # Values that PostgreSQL itself refuses (a NUL in a text) are the caller's; the rest is ours.
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


def _unknown_parameter(name: str, known: Sequence[str]) -> Response:
    shown = name[:80].encode("unicode_escape").decode()
    there_are = f"it has {', '.join(known)}" if known else "it has none"
    return problem(
        422,
        "invalid-input",
        f"This route has no parameter {shown!r}; {there_are}.",
        field=f"query.{shown}",
    )


class _Requests:
    """Times, logs and bounds every request; written against ASGI since it must not buffer bodies."""

    def __init__(
        self,
        app: ASGIApp,
        api: FastAPI,
        uploads: tuple[str, ...],
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
        continue_trace(headers.get(b"traceparent"))
        status, started = 500, time.perf_counter()

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if await self._answer_fast(scope, headers.get(b"authorization", ""), receive, observe):
                return
            if (unknown := self._parameters.unknown(scope)) is not None:
                await _unknown_parameter(*unknown)(scope, receive, observe)
                return
            await self._app(scope, self._bounded(scope["path"], receive), observe)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    async def _answer_fast(
        self, scope: Scope, authorization: str, receive: Receive, send: Send
    ) -> bool:
        """Whether it was the plain case of a hot route, and is answered by now."""
        fast_path = self._fast_paths.get(scope["path"])
        if fast_path is None or scope["method"] != "GET":
            return False
        scheme, _, token = authorization.partition(" ")
        try:
            who = verify_token(self._secret, token if scheme.lower() == "bearer" else "")
            who.require(fast_path.permission)
        except SentinelIQError:
            return False
        structlog.contextvars.bind_contextvars(tenant=who.tenant, actor=who.actor)
        try:
            body = await fast_path.answer(who, scope["query_string"])
        except SentinelIQError as error:
            scope["route"] = fast_path
            await (await _known_problem(Request(scope), error))(scope, receive, send)
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

    def _bounded(self, path: str, receive: Receive) -> Receive:
        if path in self._uploads:
            return receive
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY_BYTES:
                # FastAPI hides any other error of `receive` behind a 400.
                raise HTTPException(413, f"A request body may have {MAX_BODY_BYTES:,} bytes here.")
            return message

        return bounded

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route: Callable[..., Any] | None = scope.get("route")
        path = getattr(route, "path", "unmatched")
        HTTP_SECONDS.labels(self._service, scope["method"], path, status).observe(seconds)
        # What was read without trouble is counted above; a line for each would cost more than the reading.
        if scope["method"] != "GET" or status >= 400 or seconds > 1:
            log.info(
                "request",
                method=scope["method"],
                route=path,
                status=status,
                ms=round(seconds * 1000, 1),
            )
