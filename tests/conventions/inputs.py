"""What comes in over the APIs has bounds: a walk through an OpenAPI document.

A text has a greatest length, an array a greatest number of items, a mapping of properties, a number
its bounds. A value of any JSON has `x-max-bytes`, which its schema's validator enforces.
"""

from collections.abc import Iterator
from typing import Any, Final

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_FIXED_FORMATS: Final = {"uuid", "date-time", "date", "time", "binary"}
"""Formats whose texts have few lengths, and bodies whose route bounds them."""
_BOUNDS: Final = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))

Schema = dict[str, Any]


def unbounded_inputs(document: Schema) -> Iterator[str]:
    """Each input without a bound, as `METHOD path: place: what is missing`."""
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                for problem in _of_operation(document, operations[method]):
                    yield f"{method.upper()} {path}: {problem}"


def _of_operation(document: Schema, operation: Schema) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield from _of_schema(document, parameter["schema"], parameter["name"], ())
    content = operation.get("requestBody", {}).get("content", {})
    for media in content.values():
        if "schema" in media:
            yield from _of_schema(document, media["schema"], "body", ())


def _of_schema(
    document: Schema, schema: Schema, place: str, seen: tuple[str, ...]
) -> Iterator[str]:
    if {"x-max-bytes", "enum", "const"} & schema.keys():
        return
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            part = document["components"]["schemas"][name]
            yield from _of_schema(document, part, place, (*seen, name))
        return
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    inherited = {key: value for key, value in schema.items() if key.startswith("max")}
    for part in parts:
        yield from _of_schema(document, {**inherited, **part}, place, seen)
    if not parts:
        yield from _of_type(document, schema, place, seen)


def _of_type(document: Schema, schema: Schema, place: str, seen: tuple[str, ...]) -> Iterator[str]:
    match schema.get("type"):
        case "string":
            yield from _of_text(schema, place)
        case "integer" | "number":
            missing = [names for names in _BOUNDS if not schema.keys() & set(names)]
            yield from (f"{place}: no {names[0]}" for names in missing)
        case "array":
            yield from [] if "maxItems" in schema else [f"{place}: no maxItems"]
            yield from _of_schema(document, schema.get("items", {}), f"{place}[]", seen)
        case "object":
            yield from _of_object(document, schema, place, seen)
        case "boolean" | "null":
            return
        case _:
            yield f"{place}: any value, without x-max-bytes"


def _of_text(schema: Schema, place: str) -> Iterator[str]:
    if "maxLength" not in schema and schema.get("format") not in _FIXED_FORMATS:
        yield f"{place}: no maxLength"


def _of_object(
    document: Schema, schema: Schema, place: str, seen: tuple[str, ...]
) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield from _of_schema(document, part, f"{place}.{name}", seen)
    if "properties" in schema or schema.get("additionalProperties") is False:
        return
    if "maxProperties" not in schema:
        yield f"{place}: no maxProperties"
    yield from _of_schema(document, _extra(schema), f"{place}.*", seen)


def _extra(schema: Schema) -> Schema:
    extra = schema.get("additionalProperties", True)
    return extra if isinstance(extra, dict) else {}
