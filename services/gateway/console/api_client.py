"""The services' public APIs, as the signed-in person calls them.

Every call is bounded in time and size, and its failure is a value: an API that is away takes its
own panel with it, and no other.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import quote, urlencode

from shared.errors import SentinelIQError
from shared.http import GuardedClient, Limits, Response
from shared.settings import ServiceName, Settings

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
READ_LIMITS: Final = Limits(connect=1, total=4, redirects=0)
"""For what a page shows: a service that is slower is away."""
ACT_LIMITS: Final = Limits(connect=2, total=30, redirects=0)
"""For what a person starts and waits for, such as a preview."""
_MAX_ANSWER: Final = 32 << 20
_CONNECTIONS: Final = 64
_MAX_MESSAGE: Final = 2_000

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiRefusal:
    """Why an API gave no document.

    Attributes:
        service: whose API it is.
        status: of HTTP; 0 when there was no answer at all.
        code: names the kind of problem, as the API's problem details do.
        message: says it to people, in the API's words.
        place: the field that is wrong, as JSON names it.
        errors: what is wrong, by the place of each field that is.
    """

    service: str
    status: int
    code: str
    message: str
    place: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str) -> str:
        """What is wrong with a field of a form; empty if nothing is."""
        for place, message in (self.errors or {self.place or "": self.message}).items():
            if _is_at(place, name):
                return message.removeprefix(f"{place}: ")
        return ""

    def is_beside(self, names: Iterable[str]) -> bool:
        """Whether all that is wrong shows beside one of these fields."""
        shown = list(names)
        for place in self.errors or (self.place or "",):
            if not any(_is_at(place, name) for name in shown):
                return False
        return True

    @property
    def is_absence(self) -> bool:
        """Whether the service is away, rather than of another opinion."""
        return self.status == 0 or self.status >= 500


def _is_at(place: str, name: str) -> bool:
    """Whether a place of an API belongs to a field of a form."""
    return place == name or place.endswith(f".{name}") or place.startswith(f"{name}.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one call: a document or a refusal."""

    document: Any = None
    refusal: ApiRefusal | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def items(self) -> list[Any]:
        """The items of a page or of a plain list; none if the call was refused."""
        if isinstance(self.document, dict):
            return list(self.document.get("items", ()))
        return list(self.document or ())

    @property
    def next(self) -> str | None:
        """The cursor of the next page; None on the last."""
        return self.document.get("next") if isinstance(self.document, dict) else None


class ServiceApis:
    """A client of all services' APIs, shared by all requests of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = GuardedClient(
            allow=_PRIVATE_NETWORKS, limits=READ_LIMITS, connections=_CONNECTIONS
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.__aexit__(None, None, None)

    async def call(
        self,
        method: str,
        service: ServiceName,
        path: str,
        *,
        headers: Mapping[str, str],
        token: str,
        params: Mapping[str, Any] | None = None,
        body: Json | bytes | None = None,
    ) -> Answer:
        """Send one request.

        Args:
            method: in upper case.
            service: whose API it is.
            path: within the API, not quoted.
            headers: sent beside the token.
            token: the person's.
            params: of the query; those that are None or empty are left out.
            body: a JSON document, or text of the type that `headers` name.
        """
        present = [
            (name, value) for name, value in (params or {}).items() if value not in (None, "")
        ]
        query = f"?{urlencode(present, doseq=True)}" if present else ""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        types = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        try:
            response = await self._http.request(
                method,
                self._settings.service_url(service) + quote(path) + query,
                headers={**types, **headers},
                content=content,
                auth_headers={"Authorization": f"Bearer {token}"},
                limits=READ_LIMITS if method == "GET" else ACT_LIMITS,
                max_body=_MAX_ANSWER,
            )
        except SentinelIQError as error:
            return Answer(refusal=ApiRefusal(service, 0, error.code, error.message[:_MAX_MESSAGE]))
        return _read(service, response)


def _read(service: str, response: Response) -> Answer:
    if response.status == 204:
        return Answer(headers=response.headers)
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        message = f"The service answered {response.status} without a JSON document."
        return Answer(refusal=ApiRefusal(service, response.status or 502, "no-json", message))
    if response.status < 400:
        return Answer(document, headers=response.headers)
    return Answer(refusal=_refusal(service, response.status, document), headers=response.headers)


def _refusal(service: str, status: int, document: Any) -> ApiRefusal:
    problem = document if isinstance(document, dict) else {}
    return ApiRefusal(
        service,
        status,
        str(problem.get("type", "")).rpartition(":")[2] or "problem",
        str(problem.get("title", ""))[:_MAX_MESSAGE],
        problem.get("field") if isinstance(problem.get("field"), str) else None,
        _errors(problem.get("errors")),
    )


def _errors(items: Any) -> dict[str, str]:
    """What is wrong by place; the first that is wrong at each."""
    errors: dict[str, str] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("field"), str):
            errors.setdefault(item["field"], str(item.get("message", ""))[:_MAX_MESSAGE])
    return errors
