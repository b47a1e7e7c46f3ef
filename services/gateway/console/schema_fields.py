"""Forms of JSON schemas: the fields that a schema describes, and the document that a form makes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.gateway.console.forms import FormFields
from shared.errors import InvalidInput

Control = Literal["text", "area", "number", "choice", "flag", "json", "secret"]
_LONG_TEXT: Final = 5_000
"""Characters from which on a text gets lines of its own, such as a certificate."""
_MOST_FIELDS: Final = 60


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One field of a form.

    Attributes:
        name: as the API names its place, such as `config.url`.
        key: within its object.
        title: what the schema calls it, in English.
        control: how a person fills it.
        options: of a choice.
        default: what applies when it is left empty, as text.
        is_required: whether it has to be filled.
    """

    name: str
    key: str
    title: str
    control: Control
    options: Sequence[str] = ()
    default: str = ""
    is_required: bool = False


def fields_of(schema: Mapping[str, Any] | None, place: str) -> list[SchemaField]:
    """The fields of an object.

    Args:
        schema: of the object; None if there is none.
        place: where the API expects the object, such as `config`. What stands in `credentials`
            is secret, except for the name of a user.
    """
    properties = (schema or {}).get("properties") or {}
    required = set((schema or {}).get("required") or ())
    return [
        _field(key, part, place, is_required=key in required)
        for key, part in list(properties.items())[:_MOST_FIELDS]
    ]


def _field(key: str, part: Mapping[str, Any], place: str, *, is_required: bool) -> SchemaField:
    kinds = [kind for kind in part.get("anyOf", [part]) if kind.get("type") != "null"]
    kind = {**part, **kinds[0]} if kinds else part
    default = part.get("default")
    return SchemaField(
        name=f"{place}.{key}",
        key=key,
        title=str(part.get("title", key)),
        control=_control(key, kind, is_secret=place == "credentials"),
        options=[str(option) for option in kind.get("enum", ())],
        default="" if default is None else _as_text(default),
        is_required=is_required,
    )


def _control(key: str, kind: Mapping[str, Any], *, is_secret: bool) -> Control:
    if is_secret:
        return "text" if key in {"user", "username"} else "secret"
    if kind.get("enum"):
        return "choice"
    if kind.get("type") == "string":
        return "area" if kind.get("maxLength", 0) >= _LONG_TEXT else "text"
    by_type: dict[str, Control] = {"boolean": "flag", "integer": "number"}
    return by_type.get(str(kind.get("type")), "json")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def document_of(form: FormFields, fields: Sequence[SchemaField]) -> dict[str, Any]:
    """The object that a form has filled; what is empty is left out.

    Raises:
        InvalidInput: a number is no number, or a document is no JSON; `field` names it.
    """
    document: dict[str, Any] = {}
    for field in fields:
        value = _value(form, field)
        if value is not None:
            document[field.key] = value
    return document


def _value(form: FormFields, field: SchemaField) -> Any:
    if field.control == "flag":
        return form.flag(field.name)
    text = form.text(field.name)
    if not text:
        return None
    if field.control == "number":
        return form.number(field.name, field.title)
    return _json(text, field) if field.control == "json" else text


def _json(text: str, field: SchemaField) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        message = f"{field.title}: write JSON, such as {field.default or '{}'}"
        raise InvalidInput(message, field=field.name) from None
