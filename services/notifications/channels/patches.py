"""Partial updates: a patch of a stored object is validated as the whole object."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def apply_patch(
    model: type[Model], stored: object, patch: BaseModel, *, without: Collection[str] = ()
) -> Model:
    """A stored object with a patch, as valid as if it were created anew.

    Args:
        model: the schema that creates such an object.
        stored: an object with the attributes of the schema.
        patch: only the fields that the caller sent count.
        without: fields of the schema that are not read from the stored object.

    Raises:
        InvalidInput: a field, or their combination, is wrong.
    """
    names = [name for name in model.model_fields if name not in without]
    values = {name: getattr(stored, name) for name in names}
    return validated(model, values | patch.model_dump(exclude_unset=True))


def validated(model: type[Model], values: Mapping[str, Any], place: str = "") -> Model:
    """The values as a model.

    Args:
        model: the model.
        values: its fields.
        place: the JSON field that holds them, if it is not the body itself.

    Raises:
        InvalidInput: a value is wrong; `field` names it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in (place, *first["loc"]) if part != "")
        field = path or "body"
        raise InvalidInput(f"{field}: {first['msg']}", field=field) from None
