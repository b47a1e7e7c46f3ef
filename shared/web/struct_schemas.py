"""OpenAPI schemas of responses that are msgspec structs, generated from those structs."""

from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import FastAPI

_REFERENCE = "#/components/schemas/{name}"


def struct_response(struct: type, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Describe, for `responses`, a route that answers with a struct.

    Args:
        struct: the struct; `add_struct_schemas` adds its schema to the document.
        status: the HTTP status of the answer.
    """
    schema = {"$ref": _REFERENCE.format(name=struct.__name__)}
    return {
        status: {
            "description": (struct.__doc__ or "").partition("\n")[0],
            "content": {"application/json": {"schema": schema}},
        }
    }


def add_struct_schemas(app: FastAPI, structs: Iterable[type]) -> None:
    """Add the schemas of structs to an app's OpenAPI document.

    Args:
        app: the app.
        structs: the structs that routes answer with, and those that only stand behind JSON that is
            encoded already; what their fields refer to is added with them.
    """
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    build = app.openapi

    def openapi() -> dict[str, Any]:
        document = build()
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
