"""Which query parameters each route knows: a misspelled filter is an error and not an answer with everything in it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Scope

_Known = dict[str, frozenset[str]]


class QueryParameters:
    """The parameters of all routes of some routers, by method.

    Outside FastAPI's dependencies, since those cost a hot route more than its work.
    """

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        self._fixed: dict[str, _Known] = {}
        self._patterns: dict[re.Pattern[str], _Known] = {}
        for route in (
            route for router in routers for route in router.routes if isinstance(route, APIRoute)
        ):
            fixed = "{" not in route.path
            known = (
                self._fixed.setdefault(route.path, {})
                if fixed
                else self._patterns.setdefault(route.path_regex, {})
            )
            for method in route.methods or ():
                known[method] = frozenset(_names(route))

    def unknown(self, scope: Scope) -> tuple[str, Sequence[str]] | None:
        """The first parameter of a request that its route does not know, and those that it knows."""
        query: bytes = scope["query_string"]
        if not query:
            return None
        known = self._known(scope["path"], scope["method"])
        if known is None:
            return None
        for part in query.split(b"&"):
            name = unquote_plus(part.partition(b"=")[0].decode("latin-1"))
            if name and name not in known:
                return name, sorted(known)
        return None

    def _known(self, path: str, method: str) -> frozenset[str] | None:
        found = self._fixed.get(path)
        if found is None or method not in found:
            matches = (
                known
                for pattern, known in self._patterns.items()
                if method in known and pattern.match(path)
            )
            found = next(matches, {})
        return found.get(method)


def _names(route: APIRoute) -> Iterator[str]:
    extra: dict[str, Any] = route.openapi_extra or {}
    yield from (one["name"] for one in extra.get("parameters", ()) if one["in"] == "query")
    yield from _names_of(route.dependant)


def _names_of(dependant: Dependant) -> Iterator[str]:
    for one in dependant.query_params:
        model = one.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (field.alias or name for name, field in model.model_fields.items())
        else:
            yield one.alias
    for inner in dependant.dependencies:
        yield from _names_of(inner)
