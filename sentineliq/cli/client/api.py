"""Our own services' APIs, asked one question after the other."""

import asyncio
import getpass
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from sentineliq.cli.client.event_stream import EventStream
from shared.auth import issue_token
from shared.errors import InvalidInput, NotFound, SentinelIQError
from shared.http import GuardedClient, Limits, Response, TimedOut, Unreachable
from shared.settings import SERVICES, ServiceName

_OURS: Final = tuple(
    map(
        ip_network,
        ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
)
"""Where an installation's own services may be, besides public addresses."""
_LIMITS: Final = Limits(connect=5, total=300, redirects=0)
_LONG_LIMITS: Final = Limits(connect=5, total=4 * 3600, redirects=0)
"""Of a stream of events, which the service ends."""
_LIFETIME: Final = timedelta(hours=1)
_PAGE: Final = 500

Json = dict[str, Any]


class ApiProblem(SentinelIQError):
    """A service refused; the message is its own."""


class Client:
    """The five APIs for one tenant. Use as a context manager, from one thread.

    Args:
        environment: `SENTINELIQ_<SERVICE>_URL` of each service, and `SENTINELIQ_TOKEN` or `SENTINELIQ_SECRET_KEY`.
        tenant: for whom a token is made, when none is given.

    Raises:
        InvalidInput: something of that is missing; names it.
    """

    def __init__(self, environment: Mapping[str, str], tenant: str) -> None:
        self.tenant = tenant
        self._urls = {
            name: environment.get(f"SENTINELIQ_{name.upper()}_URL", "").rstrip("/")
            for name in SERVICES
        }
        self._authorization = {"Authorization": f"Bearer {_token(environment, tenant)}"}
        self._runner = asyncio.Runner()
        self._http = GuardedClient(allow=_OURS, limits=_LIMITS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._http.__aexit__(None, None, None))
        self._runner.close()

    def url(self, service: ServiceName) -> str:
        """The base address of a service.

        Raises:
            InvalidInput: it is not known.
        """
        if not self._urls[service]:
            raise InvalidInput(
                f"where the {service} service is is not known: set SENTINELIQ_{service.upper()}_URL"
            )
        return self._urls[service]

    def get(self, service: ServiceName, path: str, **params: Any) -> Any:
        """Ask; parameters that are None are left out."""
        return self.call("GET", service, path, params)

    def post(self, service: ServiceName, path: str, body: Json | None = None, **params: Any) -> Any:
        """Make or do something."""
        return self.call("POST", service, path, params, body)

    def patch(self, service: ServiceName, path: str, body: Json) -> Any:
        """Change something."""
        return self.call("PATCH", service, path, {}, body)

    def delete(self, service: ServiceName, path: str) -> None:
        """Remove something."""
        self.call("DELETE", service, path, {})

    def upload(self, service: ServiceName, path: str, content: bytes, **params: Any) -> Any:
        """Send a document as the body."""
        return self.call("POST", service, path, params, content)

    def follow(self, service: ServiceName, path: str, notice: Callable[[str, Json], None]) -> None:
        """Read a stream of server-sent events until it ends; `notice` gets the name and the data of each as it comes.

        Raises:
            ApiProblem: the service refused.
            SentinelIQError: it cannot be reached, or the stream breaks off.
        """
        self._runner.run(self._follow(self.url(service) + quote(path), notice))

    async def _follow(self, url: str, notice: Callable[[str, Json], None]) -> None:
        wanted = {"Accept": "text/event-stream"}
        async with self._http.stream(
            "GET", url, headers=wanted, auth_headers=self._authorization, limits=_LONG_LIMITS
        ) as answer:
            if answer.status >= 400:
                body = b"".join([piece async for piece in answer.iter_bytes()])
                _decoded(Response(answer.status, answer.headers, answer.target, body))
            events = EventStream()
            async for piece in answer.iter_bytes():
                for name, data in events.feed(piece):
                    notice(name, data)

    def items(
        self, service: ServiceName, path: str, *, most: int | None = None, **params: Any
    ) -> Iterator[Json]:
        """A list, page by page, up to `most` items."""
        after, left = None, most
        while True:
            limit = min(_PAGE, left or _PAGE)
            page = self.get(service, path, limit=limit, after=after, **params)
            yield from page["items"][:left]
            after, left = page["next"], None if left is None else left - len(page["items"])
            if after is None or left == 0:
                return

    def find(self, service: ServiceName, path: str, reference: str) -> Json:
        """The thing of a list with this id or name; the tenant's own before a public one.

        Raises:
            NotFound: there is none.
        """
        found = [one for one in self.items(service, path) if reference in (one["id"], one["name"])]
        found.sort(key=lambda one: one.get("tenant") != self.tenant)
        if not found:
            kind = path.rpartition("/")[2].removesuffix("s")
            raise NotFound(f"there is no {kind} {reference!r} in the tenant {self.tenant}")
        return found[0]

    def call(
        self,
        method: str,
        service: ServiceName,
        path: str,
        params: Mapping[str, Any],
        body: Json | bytes | None = None,
    ) -> Any:
        """One request; the decoded answer.

        Raises:
            ApiProblem: the service refused.
            SentinelIQError: it cannot be reached.
        """
        given = [(name, value) for name, value in params.items() if value is not None]
        query = f"?{urlencode(given, doseq=True)}" if given else ""
        url = self.url(service) + quote(path) + query
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        try:
            answer = self._runner.run(
                self._http.request(
                    method, url, headers=kind, content=content, auth_headers=self._authorization
                )
            )
        except (Unreachable, TimedOut) as error:
            raise type(error)(
                f"the {service} service does not answer at {self.url(service)}: is `sentineliq up` running?"
            ) from error
        return _decoded(answer)


def _token(environment: Mapping[str, str], tenant: str) -> str:
    if token := environment.get("SENTINELIQ_TOKEN"):
        return token
    key = environment.get("SENTINELIQ_SECRET_KEY")
    if not key:
        raise InvalidInput("no token: set SENTINELIQ_TOKEN or SENTINELIQ_SECRET_KEY")
    # Whoever holds the installation's key runs it.
    return issue_token(
        SecretStr(key), actor=actor(), tenant=tenant, role="operator", lifetime=_LIFETIME
    )


def actor() -> str:
    """Who works at this keyboard, as the audit trail names them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


def _decoded(answer: Response) -> Any:
    if answer.status == 204:
        return None
    try:
        document = json.loads(answer.content)
    except ValueError:
        raise ApiProblem(f"{answer.target.origin} answered {answer.status} without JSON") from None
    if answer.status >= 400:
        raise ApiProblem(_problem(document, answer.status))
    return document


def _problem(document: Any, status: int) -> str:
    """The line of a problem document: all fields that are wrong, not only the first."""
    if not isinstance(document, dict):
        return f"status {status}"
    errors = document.get("errors") or []
    if len(errors) > 1:
        return "; ".join(f"{one.get('field')}: {one.get('message')}" for one in errors)
    return str(document.get("title") or document.get("detail") or f"status {status}")
