"""Bodies of requests and answers about people."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.gateway.people.secrets import MAX_SECRET_LENGTH
from shared.tenants import MAX_NAME_LENGTH, is_tenant
from shared.tokens import RoleName

MAX_LOGIN_LENGTH: Final = 254
INVITATION_MINUTES: Final = 7 * 24 * 60
FIRST_LINK_MINUTES: Final = 10
_LOGIN: Final = r"^[A-Za-z0-9][A-Za-z0-9._+@-]*$"


def _tenant_name(name: str) -> str:
    if not is_tenant(name):
        raise ValueError("a tenant's name has lower case letters, digits and dashes")
    return name


Login = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        min_length=1,
        max_length=MAX_LOGIN_LENGTH,
        pattern=_LOGIN,
    ),
    Field(description="A mail address, or a name without spaces."),
]
PersonName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
TenantName = Annotated[
    str, StringConstraints(max_length=MAX_NAME_LENGTH), AfterValidator(_tenant_name)
]
LinkSecret = Annotated[str, StringConstraints(min_length=16, max_length=MAX_SECRET_LENGTH)]


class TenantCreate(BaseModel):
    """A new tenant."""

    model_config = ConfigDict(extra="forbid")

    name: TenantName
    title: PersonName


class TenantView(BaseModel):
    """A tenant."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    title: str
    created_at: datetime
    frozen_at: datetime | None


class FreezePatch(BaseModel):
    """Whether something is frozen: it stays, and may do nothing."""

    model_config = ConfigDict(extra="forbid")

    frozen: bool


class MemberPatch(BaseModel):
    """A change of a member; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    role: RoleName | None = None
    frozen: bool | None = None


class MemberView(BaseModel):
    """A member of the tenant."""

    model_config = ConfigDict(from_attributes=True)

    person_id: UUID
    tenant: str
    login: str
    name: str
    role: str = Field(validation_alias="role_name")
    origin: str
    created_at: datetime
    created_by: str
    frozen_at: datetime | None
    is_active: bool


class InvitationCreate(BaseModel):
    """Whom to invite: whoever has the link, or only the person with a login."""

    model_config = ConfigDict(extra="forbid")

    role: RoleName = "viewer"
    login: Login | None = None
    minutes: Annotated[int, Field(ge=1, le=30 * 24 * 60)] = INVITATION_MINUTES


class InvitationView(BaseModel):
    """An invitation, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    tenant: str
    role: str = Field(validation_alias="role_name")
    login: str | None
    is_reset: bool
    created_at: datetime
    created_by: str
    expires_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None
    withdrawn_at: datetime | None


class InvitationLink(BaseModel):
    """A new invitation with the link that accepts it; the link is shown once."""

    invitation: InvitationView
    link: str
