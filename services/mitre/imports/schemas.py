"""Imports and their sources as the API takes and gives them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.mitre.releases.domains import DomainName
from services.mitre.releases.schemas import ReleaseVersion
from shared.pagination import PageSchema

BundleUrl = Annotated[str, Field(max_length=2048, pattern=r"^https?://")]


class ImportCreate(BaseModel):
    """A bundle to load: of a domain from its source, or from an address."""

    model_config = ConfigDict(extra="forbid")

    domain: DomainName | None = Field(
        None, description="with url: the domain that the bundle must be of"
    )
    url: BundleUrl | None = Field(None, description="another address than the domain's source")
    version: ReleaseVersion | None = Field(
        None, description="must be it; names it for a STIX 2.0 bundle, which does not"
    )
    activate: bool = Field(False, description="make it the current release although a newer one is")

    @model_validator(mode="after")
    def _has_origin(self) -> "ImportCreate":
        if self.domain is None and self.url is None:
            raise ValueError("name a domain, or a url")
        return self


class ImportView(BaseModel):
    """A load as it stands."""

    model_config = ConfigDict(from_attributes=True)

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


class ImportPage(PageSchema[ImportView]):
    """Loads, newest first."""


class SourceView(BaseModel):
    """The source of a domain."""

    model_config = ConfigDict(from_attributes=True)

    domain: str
    url: str
    enabled: bool
    checked_at: datetime | None


class SourcePatch(BaseModel):
    """Changes of a source; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    url: BundleUrl | None = None
    enabled: bool | None = None


class ReconciledImports(BaseModel):
    """The result of a reconciliation."""

    status: Literal["ok"] = "ok"
    enqueued: int
