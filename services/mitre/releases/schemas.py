"""What the mitre API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.mitre.imports.domains import DomainName

Url = Annotated[str, Field(max_length=2048, pattern=r"^https?://")]
Version = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)*[a-z0-9.-]*$", examples=["18.1"])
]
AttackId = Annotated[str, StringConstraints(to_upper=True, pattern=r"^[Tt][0-9]{4}(\.[0-9]{3})?$")]


class LoadCreate(BaseModel):
    """A bundle to load: of a domain from its source, or from an address."""

    model_config = ConfigDict(extra="forbid")

    domain: DomainName | None = Field(
        None, description="with url: the domain that the bundle must be of"
    )
    url: Url | None = Field(None, description="another address than the domain's source")
    version: Version | None = Field(
        None, description="must be it; names it for a STIX 2.0 bundle, which does not"
    )
    activate: bool = Field(False, description="make it the current release although a newer one is")

    @model_validator(mode="after")
    def _has_origin(self) -> "LoadCreate":
        if self.domain is None and self.url is None:
            raise ValueError("name a domain, or a url")
        return self


class Load(BaseModel):
    """A load as it stands."""

    id: UUID
    state: Literal["queued", "running", "succeeded", "unchanged", "failed"]
    name: str
    domain: str | None
    version: str | None
    url: str | None
    activate: bool
    attempts: int
    result: dict[str, Any] | None = Field(
        description="domain, version, whether current, figures of what changed"
    )
    error: dict[str, Any] | None = Field(
        description="code, message, and where: the place in the bundle"
    )
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class LoadPage(BaseModel):
    """Loads, newest first."""

    items: list[Load]
    next: datetime | None


class Source(BaseModel):
    """Where a domain is fetched."""

    domain: str
    url: str
    enabled: bool
    checked_at: datetime | None


class SourceUpdate(BaseModel):
    """What shall be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    enabled: bool | None = None


class Release(BaseModel):
    """A version of a domain."""

    domain: str
    version: str
    revision: int = Field(description="counts different contents that came under one version")
    name: str
    current: bool
    previous: str | None = Field(description="the version that `diff` compares with")
    counts: dict[str, int] = Field(description="objects by STIX type")
    diff: dict[str, Any] = Field(
        description="techniques added, changed, renamed, revoked, deprecated, removed, moved"
    )
    loaded_at: datetime


class ReleasePage(BaseModel):
    """All releases, those loaded last first."""

    items: list[Release]
    next: None = None


class Technique(BaseModel):
    """A technique as a release has it."""

    attack_id: str
    stix_id: str
    name: str
    description: str
    domain: str
    version: str = Field(description="of the release")
    current: bool = Field(description="whether the current release says so, too")
    tactics: list[str]
    tactic_ids: list[str]
    platforms: list[str]
    parent: str | None
    revoked: bool
    revoked_by: str | None
    deprecated: bool
    url: str | None
    own_version: str | None = Field(
        description="the technique's own version, which MITRE raises when it changes"
    )


class TechniquePage(BaseModel):
    """Techniques: by ATT&CK id; with `q` the best match first, and no next page."""

    items: list[Technique]
    next: str | None


class Reconciled(BaseModel):
    """What a reconciliation did."""

    status: Literal["ok"] = "ok"
    enqueued: int
