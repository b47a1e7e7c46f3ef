"""What is known of each route before FastAPI looks at a request: its permission and parameters.

A request is refused by its role before a byte of its body is read. A misspelled filter is an error,
not a filter that is ignored. FastAPI can refuse unknown parameters only where one model with
`extra="forbid"` holds all of a route's query parameters: not where dependencies or plain arguments
add some, and not on fast paths. Its error names no alternatives.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import BaseRoute, compile_path
from starlette.types import Scope

from shared.errors import InvalidInput

PERMISSION: Final = "x-permission"
"""The key in `openapi_extra` of a hot route, and the attribute of a dependency, that names the
permission."""


class RouteFacts(NamedTuple):
    """What is known of a route.

    Attributes:
        path: its template, `/v1/feeds/{feed_id}`.
        permission: the permission that it requires; None of a route that is open.
        parameters: the names of its query parameters; None accepts all.
    """

    path: str
    permission: str | None
    parameters: frozenset[str] | None


_FactsByMethod = dict[str, RouteFacts]


class RouteTable:
    """The routes of an app, by path and method.

    It works outside FastAPI's dependencies, which cost a hot route more than its work.
    """

    def __init__(self) -> None:
        self._by_path: dict[str, _FactsByMethod] = {}
        self._by_pattern: dict[re.Pattern[str], _FactsByMethod] = {}

    def add(self, routes: Iterable[BaseRoute], *, has_free_parameters: bool = False) -> None:
        """Add routes.

        Args:
            routes: an app's or a router's.
            has_free_parameters: accept any query parameter, as probes do.
        """
        for context in iter_route_contexts(list(routes)):
            route = context.original_route
            if not isinstance(route, APIRoute):
                continue
            path = str(context.path_format)
            names = None
            if not has_free_parameters:
                names = frozenset(_names_of_route(route, context.dependant))
            facts = RouteFacts(path, _permission(route, context.dependant), names)
            if "{" in path:
                pattern, _, _ = compile_path(str(context.path))
                by_method = self._by_pattern.setdefault(pattern, {})
            else:
                by_method = self._by_path.setdefault(path, {})
            for method in context.methods or ():
                by_method[method] = facts

    def find(self, scope: Scope) -> RouteFacts | None:
        """Return what is known of a request's route; None if there is none."""
        path: str = scope["path"]
        method: str = scope["method"]
        by_method = self._by_path.get(path)
        if by_method is not None and method in by_method:
            return by_method[method]
        for pattern, by_method in self._by_pattern.items():
            if method in by_method and pattern.match(path):
                return by_method[method]
        return None


def unknown_parameter(facts: RouteFacts, query: bytes) -> tuple[str, Sequence[str]] | None:
    """Return a request's first parameter that its route lacks, and those that it has."""
    if not query or facts.parameters is None:
        return None
    for part in query.split(b"&"):
        name = unquote_plus(part.partition(b"=")[0].decode("latin-1"))
        if name and name not in facts.parameters:
            return name, sorted(facts.parameters)
    return None


def check_parameters(facts: RouteFacts, query: bytes) -> None:
    """Refuse a request with a parameter that its route lacks.

    Raises:
        InvalidInput: the first such parameter.
    """
    unknown = unknown_parameter(facts, query)
    if unknown is None:
        return
    name, parameters = unknown
    shown = name[:80].encode("unicode_escape").decode()
    choice = f"it has {', '.join(parameters)}" if parameters else "it has none"
    raise InvalidInput(f"This route has no parameter {shown!r}; {choice}.", field=shown)


def _permission(route: APIRoute, dependant: Dependant) -> str | None:
    extra: dict[str, Any] = route.openapi_extra or {}
    if PERMISSION in extra:
        return str(extra[PERMISSION])
    return next(_permissions(dependant), None)


def _permissions(dependant: Dependant) -> Iterator[str]:
    permission = getattr(dependant.call, "permission", None)
    if permission is not None:
        yield permission
    for dependency in dependant.dependencies:
        yield from _permissions(dependency)


def _names_of_route(route: APIRoute, dependant: Dependant) -> Iterator[str]:
    extra: dict[str, Any] = route.openapi_extra or {}
    for parameter in extra.get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
    yield from _names_of_dependant(dependant)


def _names_of_dependant(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        model = parameter.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                yield field.alias or name
        else:
            yield parameter.alias
    for dependency in dependant.dependencies:
        yield from _names_of_dependant(dependency)
