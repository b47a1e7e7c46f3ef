"""The gateway's place before its own API: it checks every request, and passes on those of services.

It is plain ASGI, and the outermost part of the app: nothing has read a request before it has.
"""

from base64 import b64encode
from collections.abc import Iterable
from math import ceil
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from prometheus_client import Counter
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.routing.access import Gate, check_credential_size, is_of_gateway
from services.gateway.routing.client_address import ClientPlace, client_place
from services.gateway.routing.exchange import ExchangeLimits, OutgoingRequest, forward
from services.gateway.routing.own_pages import OwnPages
from services.gateway.routing.passed_headers import (
    FLOWER_POLICY,
    PASSED,
    PASSED_TO_FLOWER,
    PASSED_WITH_CREDENTIALS,
    SECURITY_HEADERS,
    STRICT_TRANSPORT,
    named_by_connection,
    passed_request_headers,
    passed_response_headers,
)
from services.gateway.routing.rate_limit import EdgeRateLimits, RateState
from services.gateway.routing.request_check import MalformedRequest, check_request
from services.gateway.routing.route_map import (
    FLOWER,
    OWN_PREFIX,
    EdgeRoute,
    RouteMap,
    find_way_in,
)
from services.gateway.routing.upstreams import Upstreams
from shared.errors import NotFound, SentinelIQError, Unauthenticated
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.web.documentation import DOCUMENTATION_PATHS
from shared.web.refusals import RefusalLog

log = get_logger(__name__)

EDGE_REQUESTS: Final = Counter(
    "sentineliq_edge_requests_total",
    "Requests at the gateway's edge, by the service that they are for and the status.",
    ["upstream", "status"],
)
EDGE_REFUSALS: Final = Counter(
    "sentineliq_edge_refusals_total",
    "Requests that the edge refused before anything was done for them.",
    ["reason"],
)
_TRUST: Final = "sentineliq.trust"
_OPERATOR_PERMISSION: Final = "tasks:read"
"""What a request for Flower needs: the role is not enough, for an API key may leave it out."""
_CREDENTIALS: Final = (b"authorization", b"cookie")
_UNENCRYPTED: Final = "This gateway takes requests over TLS alone."


def add_edge(app: FastAPI, settings: Settings, gate: Gate) -> None:
    """Put the edge before an app; it must be the last that is put there.

    Args:
        app: the gateway's own API.
        settings: addresses and limits.
        gate: lets requests in.
    """
    upstreams = Upstreams(settings)
    pages = OwnPages(app, settings, upstreams)
    # A person who signs in has no token yet, so that bodies of strangers are read as well. The
    # server holds 64 KiB of each and no more, until the app asks for them.
    app.state.reads_strangers = True
    app.add_middleware(Edge, settings=settings, gate=gate, upstreams=upstreams, pages=pages)


class Edge:
    """The edge.

    Args:
        app: the gateway's own API.
        settings: addresses and limits.
        gate: lets requests in.
        upstreams: the services.
        pages: what the gateway answers besides its API.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, gate: Gate, upstreams: Upstreams, pages: OwnPages
    ) -> None:
        self._app = app
        self._gate = gate
        self._upstreams = upstreams
        self._pages = pages
        self._routes = RouteMap()
        self._rates = EdgeRateLimits(settings.api_rate)
        self._proxies = settings.trusted_proxies
        self._requires_tls = settings.production
        self._flower_login = _basic_login(settings)
        self._refusals = RefusalLog()
        self._limits = ExchangeLimits(
            answer_seconds=settings.gateway_answer_seconds,
            piece_seconds=settings.gateway_piece_seconds,
            body_bytes=settings.gateway_body_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or what the server says of its own life."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._upstreams.close()
            return
        request = _Request(scope, send)
        try:
            await self._answer(request, receive)
        except ClientDisconnect:
            request.status = 400  # nobody reads an answer
        except SentinelIQError as error:
            await self._refuse(request, error)
        finally:
            EDGE_REQUESTS.labels(request.upstream, request.status).inc()

    async def _answer(self, request: "_Request", receive: Receive) -> None:
        scope = request.scope
        client = scope.get("client")
        peer = client[0] if client else ""
        request.place = ClientPlace(peer, scope["scheme"])
        headers = check_request(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            scope["http_version"],
        )
        place = client_place(peer, scope["scheme"], headers, self._proxies)
        request.place = place
        path = scope["raw_path"].decode("ascii")
        if self._requires_tls and place.scheme != "https" and not self._pages.is_probe(path):
            raise MalformedRequest(_UNENCRYPTED, "unencrypted")
        check_credential_size(scope["headers"])
        route = self._routes.find(path)
        if route is None:
            await self._answer_own(request, path, receive)
        else:
            request.upstream = route.upstream
            await self._forward(request, route, path, headers, receive)

    async def _answer_own(self, request: "_Request", path: str, receive: Receive) -> None:
        scope = dict(request.scope)
        scope["client"] = (request.place.address, 0)
        scope["scheme"] = request.place.scheme
        if path.startswith(f"{OWN_PREFIX}/v1/"):
            scope["path"] = scope["path"].removeprefix(OWN_PREFIX)
            scope["raw_path"] = scope["raw_path"].removeprefix(OWN_PREFIX.encode())
        address = request.place.address
        if scope["path"] in DOCUMENTATION_PATHS:
            self._rates.take_of_address(address)
        way_in = find_way_in(scope["method"], scope["path"])
        if way_in is not None:
            self._rates.check_entry(address)
        response = await self._pages.answer(scope, self._gate)
        if response is None:
            scope["headers"] = await self._own_headers(scope)
        own: ASGIApp = self._app if response is None else response
        await own(scope, receive, request.send_own)
        if way_in == "counted" or (way_in is not None and request.status >= 400):
            self._rates.note_entry(address)

    async def _own_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return a request's headers with the token that a session or an API key stands for.

        Open paths, and pages, look at what a request shows by themselves.
        """
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        path = scope["path"]
        is_shown = any(name in _CREDENTIALS for name, _ in headers)
        if not is_shown or not path.startswith("/v1/") or path in scope["app"].state.open_paths:
            return headers
        peer = scope["client"][0]
        try:
            admission = await self._gate.admit(scope["method"], headers, peer)
        except Unauthenticated:
            self._rates.note_refusal(peer)
            raise
        token = b"Bearer " + admission.bearer("gateway").encode()
        rest = [pair for pair in headers if pair[0] not in _CREDENTIALS]
        return [*rest, (b"authorization", token)]

    async def _forward(
        self,
        request: "_Request",
        route: EdgeRoute,
        path: str,
        headers: dict[bytes, bytes],
        receive: Receive,
    ) -> None:
        upstream_path = route.upstream_path(path)
        if upstream_path is None:
            raise NotFound("No service has this path.")
        authorization, rate = await self._admit(request, route, upstream_path)
        pool = self._upstreams.pool(route.upstream)
        outgoing = self._outgoing(request, route, upstream_path, headers, authorization)
        outgoing.headers.append((b"host", pool.origin.authority.encode()))
        own = request.own_headers(rate)
        if route.upstream == FLOWER:
            own.append(FLOWER_POLICY)
        status = await forward(
            pool, outgoing, receive, request.send, own, self._limits, request.owner
        )
        request.status = status

    async def _admit(
        self, request: "_Request", route: EdgeRoute, upstream_path: str
    ) -> tuple[bytes | None, RateState | None]:
        """Let a request in; return what the service gets as `Authorization`, and what is left."""
        scope = request.scope
        method = scope["method"]
        sent = _authorization(scope["headers"])
        request.owner = request.place.address
        if route.access == "service" and not is_of_gateway(sent):
            return sent, self._rates.take_of_address(request.place.address)
        try:
            admission = await self._gate.admit(method, scope["headers"], request.place.address)
        except Unauthenticated:
            self._rates.note_refusal(request.place.address)
            raise
        principal = admission.principal
        request.owner = f"{principal.tenant} "
        trust = scope.get("extensions", {}).get(_TRUST)
        if trust is not None:
            trust()
        rate = self._rates.take(principal, method, upstream_path)
        if route.access == "operator":
            principal.require(_OPERATOR_PERMISSION)
            return self._flower_login, rate
        return b"Bearer " + admission.bearer(route.upstream).encode(), rate

    def _outgoing(
        self,
        request: "_Request",
        route: EdgeRoute,
        upstream_path: str,
        headers: dict[bytes, bytes],
        authorization: bytes | None,
    ) -> OutgoingRequest:
        scope = request.scope
        place = request.place
        passed = PASSED_WITH_CREDENTIALS if route.access == "service" else PASSED
        if route.upstream == FLOWER:
            passed = PASSED_TO_FLOWER
        hop = named_by_connection(headers)
        sent = list(passed_request_headers(scope["headers"], hop, passed))
        if authorization is not None:
            sent.append((b"authorization", authorization))
        sent += [
            (b"x-forwarded-for", place.address.encode()),
            (b"x-forwarded-proto", place.scheme.encode()),
            (b"x-forwarded-host", headers.get(b"host", b"")),
            (b"via", b"1.1 sentineliq"),
        ]
        length = headers.get(b"content-length")
        query = scope["query_string"]
        target = upstream_path.encode() + (b"?" + query if query else b"")
        is_chunked = b"transfer-encoding" in headers
        size = int(length) if length is not None else 0
        return OutgoingRequest(
            scope["method"], target, sent, None if is_chunked else size, is_chunked or size > 0
        )

    async def _refuse(self, request: "_Request", error: SentinelIQError) -> None:
        reason = error.reason if isinstance(error, MalformedRequest) else error.code
        EDGE_REFUSALS.labels(reason).inc()
        if error.status < 500:
            self._refusals.note(f"{request.upstream}: {reason}")
        else:
            log.warning("upstream.failed", reason=reason, upstream=request.upstream)
        if request.has_begun:
            return  # the server ends the connection: the client sees that the answer is not whole
        await request.send_problem(error)


class _Request:
    """A request on its way, and what its client has got."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.status = 500
        self.upstream = "gateway"
        self.owner = ""
        self.has_begun = False
        self.place = ClientPlace("", scope["scheme"])
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a part of a service's answer."""
        if message["type"] == "http.response.start":
            self.has_begun = True
        await self._send(message)

    async def send_own(self, message: Message) -> None:
        """Send a part of the gateway's own answer, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = self.own_headers(None)
            set_cookie = [pair for pair in message["headers"] if pair[0] == b"set-cookie"]
            headers = passed_response_headers(message["headers"], own) + set_cookie
            message = {**message, "headers": headers}
        await self.send(message)

    def own_headers(self, rate: RateState | None) -> list[tuple[bytes, bytes]]:
        """What the gateway writes into every answer."""
        headers = list(SECURITY_HEADERS)
        if self.place.scheme == "https":
            headers.append(STRICT_TRANSPORT)
        if rate is not None:
            headers += rate.headers()
        return headers

    async def send_problem(self, error: SentinelIQError) -> None:
        """Send problem details (RFC 9457)."""
        self.status = error.status
        body = msgspec.json.encode(_problem(error))
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            *_problem_headers(error),
            *self.own_headers(None),
        ]
        if isinstance(error, MalformedRequest):
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": error.status, "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})


def _problem(error: SentinelIQError) -> dict[str, Any]:
    return {
        "type": f"urn:sentineliq:problem:{error.code}",
        "title": error.message,
        "status": error.status,
        **error.details,
    }


def _problem_headers(error: SentinelIQError) -> Iterable[tuple[bytes, bytes]]:
    if error.retry_after:
        yield b"retry-after", str(ceil(error.retry_after)).encode()
    if error.status == 401:
        yield b"www-authenticate", b"Bearer"


def _authorization(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    return next((value for name, value in headers if name == b"authorization"), None)


def _basic_login(settings: Settings) -> bytes | None:
    login = settings.flower_basic_auth
    if login is None:
        return None
    return b"Basic " + b64encode(login.get_secret_value().encode())
