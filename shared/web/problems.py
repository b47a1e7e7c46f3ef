"""The problem details of RFC 9457 in an API's OpenAPI document.

Every route may answer with them, so no route has to tell: this module adds them to all.
"""

from collections.abc import Collection, Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

PROBLEM_TYPE: Final = "application/problem+json"
_NAME: Final = "Problem"
_REPLACED: Final = ("HTTPValidationError", "ValidationError")
"""What FastAPI writes into a document, and no route of ours answers."""
_METHODS: Final = ("get", "put", "post", "delete", "patch")

_SCHEMA: Final[dict[str, Any]] = {
    "title": _NAME,
    "description": "Why a request was not answered: problem details of RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {
            "type": "string",
            "pattern": "^urn:sentineliq:problem:[a-z-]+$",
            "description": "names the kind of problem, for programs",
        },
        "title": {"type": "string", "description": "says what is wrong, for people"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "field": {"type": "string", "description": "the field that is wrong, as JSON names it"},
        "errors": {
            "type": "array",
            "description": "all fields that are wrong",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
}


def add_problems(app: FastAPI, open_paths: Collection[str]) -> None:
    """Add the problems that each route may answer with to an app's OpenAPI document.

    Args:
        app: the app, with all its routes.
        open_paths: of the routes that ask for nothing, and refuse nobody.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        is_built = app.openapi_schema is not None
        document = build()
        if not is_built:
            _add_to_document(document, open_paths)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def upstream_problem() -> dict[int | str, dict[str, Any]]:
    """Describe, for `responses`, a route that fails when another system does."""
    return {502: {"description": "Another system failed or refused."}}


def _add_to_document(document: dict[str, Any], open_paths: Collection[str]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _REPLACED:
        schemas.pop(name, None)
    schemas[_NAME] = _SCHEMA
    for path, methods in document["paths"].items():
        is_open = path in open_paths
        for method in _METHODS:
            if method in methods:
                _add_to_operation(method, methods[method], is_open=is_open)


def _add_to_operation(method: str, operation: dict[str, Any], *, is_open: bool) -> None:
    responses = operation["responses"]
    content = {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{_NAME}"}}}
    # FastAPI's own 422 has another type, and a route names 502 without a body.
    responses.pop("422", None)
    for status in responses.keys() & {"502"}:
        responses[status]["content"] = content
    for status in _statuses(method, is_open=is_open):
        responses[str(status.value)] = {"description": status.phrase, "content": content}


def _statuses(method: str, *, is_open: bool) -> Iterator[HTTPStatus]:
    yield HTTPStatus.SERVICE_UNAVAILABLE
    if is_open:
        return
    # A route with an access of its own, or a way in, refuses as those do that ask for a token.
    yield HTTPStatus.UNAUTHORIZED
    yield HTTPStatus.FORBIDDEN
    yield HTTPStatus.NOT_FOUND
    yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.TOO_MANY_REQUESTS
    # A path that has more than one reading is refused before its route is asked.
    yield HTTPStatus.BAD_REQUEST
    if method != "get":
        yield HTTPStatus.REQUEST_TIMEOUT
        yield HTTPStatus.CONFLICT
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
