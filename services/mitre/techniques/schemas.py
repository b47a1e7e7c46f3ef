"""Techniques as the API gives them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.pagination import PageSchema

AttackId = Annotated[
    str,
    StringConstraints(to_upper=True, max_length=9, pattern=r"^[Tt][0-9]{4}(\.[0-9]{3})?$"),
]


class TechniqueView(BaseModel):
    """A technique as a release has it."""

    model_config = ConfigDict(from_attributes=True)

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


class TechniquePage(PageSchema[TechniqueView]):
    """Techniques: by ATT&CK id; with `q` the best match first, and no next page."""
