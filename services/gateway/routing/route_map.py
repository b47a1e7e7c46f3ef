"""Which service answers which addresses of the gateway."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from shared.settings import ServiceName

Access = Literal["token", "service", "operator"]
"""Who lets a request in: the gateway by a token of this installation, the service alone by what it
knows (TAXII's Basic login, the secret in the address of a list or a link), or the gateway for
operators only."""


class EdgeRoute(NamedTuple):
    """The addresses below one prefix.

    Attributes:
        prefix: of the gateway's paths, without a slash at the end.
        upstream: the service that answers, or `flower`.
        target: what stands for the prefix in the service's path.
        within: what the rest of the path must begin with; a service offers no more to others.
        access: who lets a request in.
    """

    prefix: str
    upstream: str
    target: str = ""
    within: str = "/"
    access: Access = "token"

    def upstream_path(self, path: str) -> str | None:
        """The service's path of a gateway's path below the prefix; None if it offers none."""
        rest = path[len(self.prefix) :]
        if not rest.startswith(self.within):
            return None
        return self.target + rest


_API_SERVICES: Final[tuple[ServiceName, ...]] = (
    "feeds",
    "observables",
    "notifications",
    "mitre",
    "scheduler",
)
FLOWER: Final = "flower"
TAXII: Final = EdgeRoute("/taxii2", "observables", target="/taxii2", access="service")
LINKS: Final = EdgeRoute("/links", "notifications", target="/v1/links", within="", access="service")
LISTS: Final = EdgeRoute("/lists", "observables", target="/lists", access="service")

EDGE_ROUTES: Final[tuple[EdgeRoute, ...]] = (
    *(EdgeRoute(f"/api/{name}", name, within="/v1/") for name in _API_SERVICES),
    TAXII,
    LISTS,
    LINKS,
    EdgeRoute("/flower", FLOWER, target="/flower", within="", access="operator"),
)
"""All routes of the edge. A path below none of them is the gateway's own."""

OWN_PREFIX: Final = "/api/gateway"
"""Below it the gateway's own API has the same form of address as those of the services."""
UPSTREAMS: Final = (*_API_SERVICES, FLOWER)

_WAYS_IN: Final = "/v1/sign-in"
_STORED: Final = frozenset(
    {"/v1/sign-in/provider", "/v1/sign-in/passkey/begin", "/console/sign-in/passkey/begin"}
)
"""Ways in of which each request stores a row."""
PROVIDER_CALLBACK: Final = "/v1/sign-in/provider/callback"
"""Its address has the code of a sign-in."""
_CONSOLE_FORMS: Final = frozenset(
    {"/console/sign-in", "/console/sign-in/passkey", "/console/welcome"}
)


def find_way_in(method: str, path: str) -> Literal["counted", "open"] | None:
    """Whether strangers come in by an own path of the gateway, and so are limited by address.

    Args:
        method: of the request.
        path: decoded.

    Returns:
        `counted` where each request has a cost (it stores a row, and of a provider the description
        is fetched), `open` where a refused one counts; None for other paths.
    """
    if path in _STORED:
        return "counted"
    is_form = method == "POST" and path in _CONSOLE_FORMS
    return "open" if is_form or path.startswith(_WAYS_IN) else None


class RouteMap:
    """Finds the route of a path.

    Args:
        routes: those that this gateway serves.
    """

    def __init__(self, routes: Sequence[EdgeRoute] = EDGE_ROUTES) -> None:
        self._by_segments = {tuple(route.prefix.split("/")[1:]): route for route in routes}

    def find(self, path: str) -> EdgeRoute | None:
        """The route whose prefix the path has, segment by segment; None below no prefix."""
        first, _, rest = path[1:].partition("/")
        route = self._by_segments.get((first,))
        if route is not None:
            return route
        return self._by_segments.get((first, rest.partition("/")[0]))
