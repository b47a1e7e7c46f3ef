"""Bodies of requests and answers about API keys."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.gateway.people.schemas import PersonName
from shared.tokens import RoleName

MAX_DAYS: Final = 730
_Scope = Annotated[str, StringConstraints(max_length=64)]
_Network = Annotated[str, StringConstraints(max_length=64)]


class ApiKeyCreate(BaseModel):
    """A new API key, which acts as the person who makes it."""

    model_config = ConfigDict(extra="forbid")

    name: PersonName
    role: RoleName = "viewer"
    scopes: Annotated[list[_Scope], Field(max_length=64)] | None = Field(
        None, description="The permissions that it is for; without them all that its role has."
    )
    networks: Annotated[list[_Network], Field(max_length=32)] = Field(
        default_factory=list, description="Where it may be used; without any everywhere."
    )
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 90


class ApiKeyRotation(BaseModel):
    """How long a key goes on beside the one that replaces it."""

    model_config = ConfigDict(extra="forbid")

    overlap_minutes: Annotated[int, Field(ge=0, le=7 * 24 * 60)] = 24 * 60


class ApiKeyView(BaseModel):
    """An API key, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    tenant: str
    name: str
    person_id: UUID
    role: str = Field(validation_alias="role_name")
    scopes: list[str] | None
    networks: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    used_from: str | None
    revoked_at: datetime | None
    successor: str | None


class NewApiKey(BaseModel):
    """A new API key; `key` is shown once."""

    api_key: ApiKeyView
    key: str
