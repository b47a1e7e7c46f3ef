"""A client of the services' APIs."""

import asyncio
import getpass
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import msgspec

from sentineliq.cli.client.documents import NamedItem, decode, with_choices
from sentineliq.cli.client.event_stream import EventStream
from sentineliq.cli.client.format_options import Alternative
from shared.errors import InvalidInput, NotFound, SentinelIQError
from shared.http import GuardedClient, Limits, Response, TimedOut, Unreachable
from shared.service_names import SERVICES, ServiceName
from shared.tokens import issue_token

_PRIVATE_NETWORKS: Final = tuple(
    ip_network(network)
    for network in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    )
)
"""Where an installation's own services may be, besides public addresses."""
_LIMITS: Final = Limits(connect=5, total=300, redirects=0)
_STREAM_LIMITS: Final = Limits(connect=5, total=4 * 3600, redirects=0)
"""For a stream of events, which the service ends."""
_TOKEN_LIFETIME: Final = timedelta(hours=1)
_PAGE_SIZE: Final = 500

Json = dict[str, Any]


class ApiProblem(SentinelIQError):
    """A service refused the request; the message is the service's own."""


class Client:
    """The APIs of all services for one tenant. Use it as a context manager, from one thread.

    Args:
        environment: `SENTINELIQ_<SERVICE>_URL` of each service, and `SENTINELIQ_TOKEN` or
            `SENTINELIQ_SECRET_KEY`.
        tenant: whose data it works on, unless the token says it.
        names_tenant: say in each request that it is for the tenant, as persons of several do.
        is_anonymous: send no token.

    Raises:
        InvalidInput: the token and the key are missing.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        tenant: str,
        *,
        names_tenant: bool = False,
        is_anonymous: bool = False,
    ) -> None:
        self.tenant = tenant
        self._urls = {
            name: environment.get(f"SENTINELIQ_{name.upper()}_URL", "").rstrip("/")
            for name in SERVICES
        }
        self._authorization: dict[str, str] = {}
        if not is_anonymous:
            self._authorization["Authorization"] = f"Bearer {_token(environment, tenant)}"
        if names_tenant:
            self._authorization["Sentineliq-Tenant"] = tenant
        self._runner = asyncio.Runner()
        self._http = GuardedClient(allow=_PRIVATE_NETWORKS, limits=_LIMITS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._runner.run(self._http.__aexit__(None, None, None))
        self._runner.close()

    def url(self, service: ServiceName) -> str:
        """The base address of a service.

        Raises:
            InvalidInput: the environment does not name it.
        """
        if not self._urls[service]:
            variable = f"SENTINELIQ_{service.upper()}_URL"
            raise InvalidInput(f"the address of the {service} service is missing: set {variable}")
        return self._urls[service]

    def get(self, service: ServiceName, path: str, **params: Any) -> Any:
        """Get a document; parameters that are None are left out."""
        return self.call("GET", service, path, params)

    def post(self, service: ServiceName, path: str, body: Json | None = None, **params: Any) -> Any:
        """Create a resource, or start an action."""
        return self.call("POST", service, path, params, body)

    def patch(self, service: ServiceName, path: str, body: Json) -> Any:
        """Change a resource."""
        return self.call("PATCH", service, path, {}, body)

    def put(self, service: ServiceName, path: str, body: Json) -> Any:
        """Put a document in its place."""
        return self.call("PUT", service, path, {}, body)

    def delete(self, service: ServiceName, path: str) -> None:
        """Delete a resource."""
        self.call("DELETE", service, path, {})

    def upload(
        self,
        service: ServiceName,
        path: str,
        content: bytes,
        *,
        media_type: str | None = None,
        **params: Any,
    ) -> Any:
        """Post a file as the body."""
        return self.call("POST", service, path, params, content, media_type)

    def download(self, service: ServiceName, path: str, **params: Any) -> bytes:
        """The bytes of a document that is no JSON, or is to be kept as it is.

        Raises:
            ApiProblem: the service refused.
            SentinelIQError: it cannot be reached.
        """
        response = self._send("GET", service, path, params)
        if response.status >= 400:
            _decode_response(response)
        return response.content

    def items(
        self, service: ServiceName, path: str, *, most: int | None = None, **params: Any
    ) -> Iterator[Json]:
        """The items of a list, page by page, up to `most`."""
        after = None
        left = most
        while True:
            limit = min(_PAGE_SIZE, left or _PAGE_SIZE)
            page = self.get(service, path, limit=limit, after=after, **params)
            yield from page["items"][:left]
            after = page["next"]
            left = None if left is None else left - len(page["items"])
            if after is None or left == 0:
                return

    def find(self, service: ServiceName, path: str, reference: str) -> Json:
        """The item of a list with this id or name; the tenant's own before a public one.

        Raises:
            NotFound: there is none.
        """
        matches = [
            item for item in self.items(service, path) if reference in (item["id"], item["name"])
        ]
        matches.sort(key=lambda item: item.get("tenant") != self.tenant)
        if not matches:
            kind = path.rpartition("/")[2].removesuffix("s")
            raise NotFound(f"there is no {kind} {reference!r} in the tenant {self.tenant}")
        return matches[0]

    def resolve(self, service: ServiceName, path: str, reference: str) -> NamedItem:
        """Id and name of the item that `find` finds.

        Raises:
            NotFound: there is none.
        """
        return decode(NamedItem, self.find(service, path, reference))

    def follow(self, service: ServiceName, path: str, notice: Callable[[str, Json], None]) -> None:
        """Read a stream of server-sent events to its end.

        Args:
            service: whose stream it is.
            path: where it is.
            notice: gets the name and the data of each event as it arrives.

        Raises:
            ApiProblem: the service refused.
            SentinelIQError: it cannot be reached, or the stream breaks off.
        """
        self._runner.run(self._follow(self.url(service) + quote(path), notice))

    async def _follow(self, url: str, notice: Callable[[str, Json], None]) -> None:
        async with self._http.stream(
            "GET",
            url,
            headers={"Accept": "text/event-stream"},
            auth_headers=self._authorization,
            limits=_STREAM_LIMITS,
        ) as response:
            if response.status >= 400:
                body = b"".join([chunk async for chunk in response.iter_bytes()])
                _decode_response(Response(response.status, response.headers, response.target, body))
            events = EventStream()
            async for chunk in response.iter_bytes():
                for name, data in events.feed(chunk):
                    notice(name, data)

    def call(
        self,
        method: str,
        service: ServiceName,
        path: str,
        params: Mapping[str, Any],
        body: Json | bytes | None = None,
        media_type: str | None = None,
    ) -> Any:
        """Send one request and return the decoded document.

        Raises:
            ApiProblem: the service refused.
            SentinelIQError: it cannot be reached.
        """
        return _decode_response(self._send(method, service, path, params, body, media_type))

    def _send(
        self,
        method: str,
        service: ServiceName,
        path: str,
        params: Mapping[str, Any],
        body: Json | bytes | None = None,
        media_type: str | None = None,
    ) -> Response:
        present = [(name, value) for name, value in params.items() if value is not None]
        query = f"?{urlencode(present, doseq=True)}" if present else ""
        url = self.url(service) + quote(path) + query
        kind = "application/json" if isinstance(body, dict) else media_type
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        request = self._http.request(
            method,
            url,
            headers={"Content-Type": kind} if kind else {},
            content=content,
            auth_headers=self._authorization,
        )
        try:
            return self._runner.run(request)
        except (Unreachable, TimedOut) as error:
            raise type(error)(
                f"the {service} service does not answer at {self.url(service)}: "
                "is `sentineliq up` running?"
            ) from error


def actor() -> str:
    """The system's user, as the audit trail names them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


class _Secret:
    """A secret that no message shows; pydantic's own takes long to import."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text


def _token(environment: Mapping[str, str], tenant: str) -> str:
    if token := environment.get("SENTINELIQ_TOKEN"):
        return token
    key = environment.get("SENTINELIQ_SECRET_KEY")
    if not key:
        raise InvalidInput("no token: set SENTINELIQ_TOKEN or SENTINELIQ_SECRET_KEY")
    # The key's owner runs the installation.
    return issue_token(
        _Secret(key), actor=actor(), tenant=tenant, role="operator", lifetime=_TOKEN_LIFETIME
    )


def _decode_response(response: Response) -> Any:
    if response.status == 204:
        return None
    try:
        document = json.loads(response.content)
    except ValueError:
        origin = response.target.origin
        raise ApiProblem(f"{origin} answered {response.status} without JSON") from None
    if response.status >= 400:
        raise ApiProblem(_problem_line(document, response.status))
    return document


class _FieldProblem(msgspec.Struct, frozen=True):
    field: str | None = None
    message: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    title: str | None = None
    detail: str | None = None
    errors: list[_FieldProblem] | None = None
    alternatives: list[Alternative] | None = None


def _problem_line(document: Any, status: int) -> str:
    """A problem document as one line; with several wrong fields it names all of them.

    Choices that it offers follow, each on a line.
    """
    try:
        problem = msgspec.convert(document, _Problem)
    except msgspec.ValidationError:
        return f"status {status}"
    if problem.errors and len(problem.errors) > 1:
        return "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
    line = problem.title or problem.detail or f"status {status}"
    return with_choices(line, problem.alternatives or ())
