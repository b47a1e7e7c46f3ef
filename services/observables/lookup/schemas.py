"""What the lookup API is asked."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from shared.stix import ObservableType
from shared.timestamps import Timestamp


class LookupQuery(BaseModel):
    """One value to look up; defanged forms are understood."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[str, Field(max_length=8192)]
    type: ObservableType | None = Field(
        None, description="what it is; what it looks like when left out"
    )
    as_of: Timestamp | None = Field(
        None, description="answer with what was known at this moment (RFC 3339)"
    )


def parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    """The query parameters that a model describes, as OpenAPI lists them."""
    schema = _schema(query)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": described}
        for name, described in schema["properties"].items()
    ]


def body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body that a model describes, as OpenAPI writes it."""
    content = {"application/json": {"schema": _schema(model)}}
    return {"requestBody": {"required": True, "content": content}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model; what it refers to are enumerations that other routes bring along."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


class LookupRequest(BaseModel):
    """Values to look up; types may be mixed, defanged forms are understood."""

    model_config = ConfigDict(extra="forbid")

    values: Annotated[
        list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=10_000)
    ]
    type: ObservableType | None = Field(
        None, description="what all of them are; what each looks like when left out"
    )
    describe: bool = Field(
        False, description="add what offline enrichers know about values that are not stored"
    )
    as_of: Timestamp | None = Field(
        None, description="answer with what was known at this moment (RFC 3339)"
    )


class ObservableCount(BaseModel):
    """How many observables match."""

    count: int
