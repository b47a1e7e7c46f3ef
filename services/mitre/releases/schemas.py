"""Releases as the API gives them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ReleaseVersion = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)*[a-z0-9.-]*$", examples=["18.1"])
]


class ReleaseView(BaseModel):
    """A version of a domain."""

    model_config = ConfigDict(from_attributes=True)

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

    items: list[ReleaseView]
    next: None = None
