"""The query parameters of each route, to refuse those that it does not have.

A misspelled filter is an error, not a filter that is ignored. FastAPI can refuse unknown parameters
only where one model with `extra="forbid"` holds all of a route's query parameters: not where
dependencies or plain arguments add some, and not on fast paths. Its error names no alternatives.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Scope

_NamesByMethod = dict[str, frozenset[str]]


class QueryParameters:
    """The parameters of all routes of some routers, by method.

    It works outside FastAPI's dependencies, which cost a hot route more than its work.
    """

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        self._by_path: dict[str, _NamesByMethod] = {}
        self._by_pattern: dict[re.Pattern[str], _NamesByMethod] = {}
        for router in routers:
            for route in router.routes:
                if isinstance(route, APIRoute):
                    self._add(route)

    def _add(self, route: APIRoute) -> None:
        if "{" in route.path:
            by_method = self._by_pattern.setdefault(route.path_regex, {})
        else:
            by_method = self._by_path.setdefault(route.path, {})
        for method in route.methods or ():
            by_method[method] = frozenset(_names_of_route(route))

    def unknown(self, scope: Scope) -> tuple[str, Sequence[str]] | None:
        """Return a request's first parameter that its route lacks, and those that it has."""
        query: bytes = scope["query_string"]
        if not query:
            return None
        names = self._names(scope["path"], scope["method"])
        if names is None:
            return None
        for part in query.split(b"&"):
            name = unquote_plus(part.partition(b"=")[0].decode("latin-1"))
            if name and name not in names:
                return name, sorted(names)
        return None

    def _names(self, path: str, method: str) -> frozenset[str] | None:
        by_method = self._by_path.get(path)
        if by_method is not None and method in by_method:
            return by_method[method]
        for pattern, by_method in self._by_pattern.items():
            if method in by_method and pattern.match(path):
                return by_method[method]
        return None


def _names_of_route(route: APIRoute) -> Iterator[str]:
    extra: dict[str, Any] = route.openapi_extra or {}
    for parameter in extra.get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
    yield from _names_of_dependant(route.dependant)


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
