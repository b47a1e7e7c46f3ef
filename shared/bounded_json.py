"""JSON of any shape that comes in from outside, within a size."""

from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, Field

MAX_OBJECT_BYTES: Final = 16_384
"""Bytes of an object of any shape, as JSON: options of formats, of collectors, of channels."""


def _check_size(value: Any) -> Any:
    size = len(msgspec.json.encode(value))
    if size > MAX_OBJECT_BYTES:
        raise ValueError(f"it has {size:,} bytes as JSON; {MAX_OBJECT_BYTES:,} is the limit")
    return value


BoundedObject = Annotated[
    dict[str, Any],
    Field(max_length=200, json_schema_extra={"x-max-bytes": MAX_OBJECT_BYTES}),
    AfterValidator(_check_size),
]
"""A JSON object of at most 200 members and 16 KiB."""
