"""Values of people and of rows as models of a target."""

from typing import Any

from pydantic import ValidationError

from shared.errors import InvalidInput


def validated(model: Any, values: Any, place: str) -> Any:
    """Values as a model.

    Args:
        model: of pydantic.
        values: its fields.
        place: the field of a push that holds them.

    Raises:
        InvalidInput: one is wrong; `field` names it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in (place, *first["loc"]))
        raise InvalidInput(f"{field}: {first['msg']}", field=field) from None
