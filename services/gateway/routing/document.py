"""The OpenAPI document of everything that the gateway's address offers, from those of the services.

Each service names its schemas and operations for itself, so that here they get its name in front.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_OWN: Final = "gateway"
_SCHEMA: Final = "#/components/schemas/"
_SHARED: Final = frozenset({"Problem"})
"""Schemas that all services share."""
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_DESCRIPTION: Final = (
    "Everything that this installation offers, at one address. The first segments of a path name "
    "the service that answers it."
)

_READINESS_PATH: Final = "/readyz"
_READINESS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["status", "services", "degraded"],
    "properties": {
        "status": {"type": "string"},
        "services": {
            "type": "object",
            "description": "the state of each service by its name",
            "additionalProperties": {"type": "string"},
        },
        "degraded": {"type": "boolean", "description": "whether a service does not answer"},
    },
}
"""What the gateway answers at a path that all services have: it tells of them as well."""

Document = dict[str, Any]


def merge_documents(own: Document, services: Mapping[str, Document | None]) -> Document:
    """Make one document of the gateway's and the services'.

    Args:
        own: of the gateway.
        services: by name; None for one that does not answer, whose part is missing and named.
    """
    merged: Document = {
        "openapi": own["openapi"],
        "info": {**own["info"], "title": "SentinelIQ", "description": _DESCRIPTION},
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
    }
    parts = {_OWN: own, **services}
    for name, document in parts.items():
        if document is None:
            continue
        _add(merged, name, document)
    _describe_readiness(merged["paths"])
    away = sorted(name for name, document in services.items() if document is None)
    if away:
        merged["info"]["x-services-away"] = away
    return merged


def _add(merged: Document, name: str, document: Document) -> None:
    components = document.get("components", {})
    schemas = components.get("schemas", {})
    renamed = {schema: _schema_name(name, schema) for schema in schemas}
    for schema, body in schemas.items():
        merged["components"]["schemas"][renamed[schema]] = _with_references(body, renamed)
    merged["components"]["securitySchemes"] |= components.get("securitySchemes", {})
    for path, item in document.get("paths", {}).items():
        place = path if name == _OWN else _place(name, path)
        if place is not None:
            merged["paths"][place] = _path_item(name, _with_references(item, renamed))


def _describe_readiness(paths: Document) -> None:
    answer = paths.get(_READINESS_PATH, {}).get("get", {}).get("responses", {}).get("200")
    if answer is not None:
        answer["content"] = {"application/json": {"schema": _READINESS}}


def _place(name: str, path: str) -> str | None:
    """Where the edge offers a service's path; None if it does not."""
    if path.startswith("/v1/"):
        return f"/api/{name}{path}"
    return path if path.startswith(("/taxii2", "/lists/")) else None


def _schema_name(name: str, schema: str) -> str:
    return schema if schema in _SHARED else f"{name}.{schema}"


def _path_item(name: str, item: Document) -> Document:
    result: Document = {}
    for key, value in item.items():
        if key in _METHODS:
            operation = dict(value)
            if "operationId" in operation:
                operation["operationId"] = f"{name}_{operation['operationId']}"
            operation["tags"] = [f"{name}: {tag}" for tag in operation.get("tags", ["api"])]
            result[key] = operation
        else:
            result[key] = value
    return result


def _with_references(value: Any, renamed: Mapping[str, str]) -> Any:
    """A copy in which every reference to a schema has the schema's new name."""
    if isinstance(value, dict):
        return {
            key: _reference(inner, renamed)
            if _is_reference(key, inner)
            else _with_references(inner, renamed)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_references(inner, renamed) for inner in value]
    if isinstance(value, str) and value.startswith(_SCHEMA):
        return _reference(value, renamed)  # of a discriminator's mapping
    return value


def _is_reference(key: str, value: Any) -> bool:
    return key == "$ref" and isinstance(value, str)


def _reference(value: str, renamed: Mapping[str, str]) -> str:
    name, separator, rest = value.removeprefix(_SCHEMA).partition("/")
    if not value.startswith(_SCHEMA) or name not in renamed:
        return value
    return _SCHEMA + renamed[name] + separator + rest


def operations_of(document: Document) -> Iterable[tuple[str, str]]:
    """Method and path of everything that a document describes."""
    for path, item in document.get("paths", {}).items():
        for method in item.keys() & _METHODS:
            yield method.upper(), path
