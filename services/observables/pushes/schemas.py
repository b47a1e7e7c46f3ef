"""Pushes in the API."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.bounded_json import BoundedObject

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PushCreate(_Body):
    """A push of a collection to another system."""

    name: Name
    collection_id: UUID = Field(description="the tenant's collection that is pushed")
    kind: Name = Field(description="taxii, kafka, or one of an installed package")
    config: BoundedObject = Field(default_factory=dict, description="the target, by its kind")
    credentials: BoundedObject | None = Field(
        None, description="secrets for the target; no answer shows them"
    )
    enabled: bool = True


class PushPatch(_Body):
    """Changes of a push. With another target it begins anew."""

    name: Name | None = None
    config: BoundedObject | None = None
    credentials: BoundedObject | None = None
    enabled: bool | None = None


class PushView(BaseModel):
    """A push, without its secrets."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    id: UUID
    name: str
    collection_id: UUID
    kind: str
    config: dict[str, Any]
    has_credentials: bool
    enabled: bool
    behind: int = Field(description="additions to the collection that it has not read, at most")
    pushed_count: int = Field(description="objects that the target has taken")
    refused_count: int = Field(description="objects that the target did not take")
    refusal: str = Field(description="why it did not take the last of them")
    pushed_at: datetime | None = Field(description="when the target has taken something last")
    attempts: int = Field(description="failed attempts since the last success")
    next_attempt_at: datetime | None
    error: dict[str, Any] | None = Field(description="why the last attempt failed")
    created_at: datetime
    created_by: str
