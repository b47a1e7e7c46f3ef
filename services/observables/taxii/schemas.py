"""Collections in the API."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.stix.markings import TlpLevel

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Description = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CollectionCreate(_Body):
    """A collection of STIX objects: one that a list fills, or one that clients write into."""

    title: Title
    description: Description = ""
    list_id: UUID | None = Field(
        None, description="the list whose entries the collection has as indicators"
    )
    is_writable: bool = Field(False, description="clients may add objects and delete them")
    tlp: TlpLevel = Field(
        "amber",
        description="the strictest marking of an object in it; a list that fills it has its own",
    )
    has_empty_list: bool = Field(
        False,
        description="an envelope without objects has an empty list of them, which some clients "
        "need, in place of {}",
    )


class CollectionPatch(_Body):
    """Changes of a collection."""

    title: Title | None = None
    description: Description | None = None
    has_empty_list: bool | None = None


class CollectionView(BaseModel):
    """A collection."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    id: UUID
    title: str
    description: str
    list_id: UUID | None
    is_writable: bool
    tlp: str
    has_empty_list: bool
    object_count: int = Field(description="objects in it; each version counts")
    last_added: datetime | None = Field(description="when its newest object was added")
    created_at: datetime
    created_by: str
    path: str = Field(description="of its objects in TAXII, below the address of this API")
