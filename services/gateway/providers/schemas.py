"""Bodies of requests and answers about identity providers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.gateway.people.schemas import PersonName
from services.gateway.providers.answers import ALGORITHMS
from shared.tokens import RoleName

_Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Algorithm = Annotated[str, StringConstraints(pattern=f"^({'|'.join(ALGORITHMS)})$", max_length=10)]
Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^\s?#]+$")]


class RuleBody(BaseModel):
    """A rule: the role follows where the claim is, or contains, the value."""

    model_config = ConfigDict(extra="forbid")

    claim: _Text
    value: _Text
    role: RoleName


class ProviderCreate(BaseModel):
    """A provider of the tenant. Its discovery document says where everything is."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: PersonName
    issuer: Url
    client_id: _Text
    client_secret: Annotated[str, StringConstraints(max_length=1000)] | None = None
    algorithms: Annotated[list[_Algorithm], Field(min_length=1, max_length=8)] = ["RS256"]
    scopes: Annotated[list[_Text], Field(max_length=20)] = ["profile", "email"]
    rules: Annotated[list[RuleBody], Field(max_length=200)] = []


class RulesPatch(BaseModel):
    """The rules of a provider, in the place of those before."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[list[RuleBody], Field(max_length=200)]


class ProviderView(BaseModel):
    """A provider, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant: str
    name: str
    issuer: str
    client_id: str
    algorithms: list[str]
    scopes: list[str]
    rules: list[RuleBody]
    created_at: datetime
    created_by: str


class ProviderChoice(BaseModel):
    """A provider that a person of a tenant may sign in with."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str


class IdentityView(BaseModel):
    """What a provider said of a person at the last sign-in, and what became of each rule."""

    model_config = ConfigDict(from_attributes=True)

    provider_id: UUID
    issuer: str
    subject: str
    role: str | None
    claims: dict[str, Any]
    outcomes: list[dict[str, Any]]
    seen_at: datetime
