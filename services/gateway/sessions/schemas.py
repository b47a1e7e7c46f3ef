"""Bodies of requests and answers about sessions."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.gateway.people.schemas import TenantName


class SessionView(BaseModel):
    """An open session of a person."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    methods: list[str]
    provider: str | None
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    is_current: bool = False


class TenantChoice(BaseModel):
    """A tenant of a person."""

    tenant: str
    role: str


class CurrentSession(BaseModel):
    """The session of a request: who it is, where, and with which role.

    `csrf_token` goes into the header `X-CSRF-Token` of each request that changes something; the
    command line's sessions have none.
    """

    session_id: UUID
    person_id: UUID
    login: str
    name: str
    tenant: str | None
    role: str | None
    permissions: list[str]
    tenants: list[TenantChoice]
    methods: list[str]
    expires_at: datetime
    csrf_token: str | None


class TenantSelection(BaseModel):
    """The tenant that the session's requests are for from now on."""

    model_config = ConfigDict(extra="forbid")

    tenant: TenantName


class EndedSessions(BaseModel):
    """How many sessions were ended."""

    ended: int
