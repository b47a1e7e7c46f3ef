"""Lists as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.observables.dissemination.lists.profiles import ProfileName
from shared.filters.tokens import MAX_BYTES
from shared.pagination import PageSchema
from shared.stix.markings import TlpLevel

ListName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?$",
        description="It is a part of the addresses that consumers poll.",
    ),
]
Description = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
FilterText = Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]
Capacity = Annotated[int, Field(ge=1, le=10_000_000)]
Grace = Annotated[int, Field(ge=0, le=2_592_000)]
Growth = Annotated[int, Field(ge=1, le=1_000_000)]
Shrink = Annotated[int, Field(ge=1, le=100)]
EntryState = Literal["in", "out", "refused", "over capacity"]
Order = Literal["score", "value"]
FormatOptions = Annotated[
    dict[
        Annotated[str, Field(max_length=40)],
        Annotated[
            dict[
                Annotated[str, Field(max_length=40)],
                Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")],
            ],
            Field(max_length=20),
        ],
    ],
    Field(max_length=50, description="Options by the name of a format."),
]


class ListCreate(BaseModel):
    """A new list: what it selects, and what may leave it."""

    model_config = ConfigDict(extra="forbid")

    name: ListName
    description: Description = ""
    filter: FilterText = Field(
        description="Which observables, for instance"
        ' `observable.type == "ipv4-addr" && observable.score >= 80`.'
    )
    order_by: Order = Field("score", description="The order of entries in files.")
    capacity: Capacity | None = Field(
        None, description="The most entries; of more the highest scores."
    )
    profile: ProfileName = Field("standard", description="How wide a network may be.")
    tlp_ceiling: TlpLevel = Field("green", description="The strictest marking of an entry.")
    grace_seconds: Grace = Field(
        0, description="How long an entry stays that matches no more because of time."
    )
    max_growth: Growth | None = Field(
        100, description="Per cent of growth within an hour that stop the list; null for any."
    )
    max_shrink: Shrink | None = Field(
        50, description="Per cent of loss within an hour that stop the list; null for any."
    )
    format_options: FormatOptions = {}
    is_collection: bool = Field(False, description="Whether TAXII offers it as a collection.")


class ListPatch(BaseModel):
    """Changes of a list; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    name: ListName | None = None
    description: Description | None = None
    filter: FilterText | None = None
    order_by: Order | None = None
    capacity: Capacity | None = None
    profile: ProfileName | None = None
    tlp_ceiling: TlpLevel | None = None
    grace_seconds: Grace | None = None
    max_growth: Growth | None = None
    max_shrink: Shrink | None = None
    format_options: FormatOptions | None = None
    is_collection: bool | None = None


class ListView(BaseModel):
    """A list, and how it is."""

    id: UUID
    name: str
    description: str
    filter: str
    sentence: str = Field(description="the filter in words")
    order_by: str
    capacity: int | None
    profile: str
    tlp_ceiling: str
    grace_seconds: int
    max_growth: int | None
    max_shrink: int | None
    format_options: dict[str, Any]
    is_collection: bool
    state: Literal["active", "held"] = Field(description="nothing new leaves a list that is held")
    held_reason: str
    held_at: datetime | None
    members: int = Field(description="entries of the newest version")
    refused: dict[str, int] = Field(description="what matches and is no entry, by reason")
    version: int = Field(description="the number of the newest change")
    published_version: int = Field(description="the version that consumers get")
    is_filled: bool = Field(description="whether all observables were looked at since the edit")
    fill_error: str
    fill_again_at: datetime | None = Field(
        description="when a fill is tried again that failed, unless an edit comes before"
    )
    created_at: datetime
    updated_at: datetime
    created_by: str


class ListPage(PageSchema[ListView]):
    """A page of lists."""


class ListEntryView(BaseModel):
    """An entry of a list."""

    id: str
    type: str
    value: str
    score: int
    joined_at: datetime | None = Field(description="null of an entry that has left since")
    leaves_at: datetime | None


class EntryPage(PageSchema[ListEntryView]):
    """A page of entries."""

    version: int


class ChangeView(BaseModel):
    """An entry that joined or left."""

    number: int
    changed_at: datetime
    kind: Literal["in", "out"]
    id: str
    type: str
    value: str
    score: int
    reason: str


class ChangePage(PageSchema[ChangeView]):
    """A page of changes; `version` is the newest that may be read."""

    version: int


class ListDifference(BaseModel):
    """What joined and left between two versions, each observable once."""

    before: int
    after: int
    joined: list[ChangeView]
    left: list[ChangeView]
    is_complete: bool = Field(description="whether all of them are here")


class ProtectedCreate(BaseModel):
    """A name or network that no list may have, nor anything below a name or inside a network."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[str, Field(min_length=1, max_length=255)]
    note: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class ProtectedView(BaseModel):
    """A protected name or network."""

    value: str
    note: str
    created_at: datetime
    created_by: str


class Explanations(BaseModel):
    """What a list says about a value."""

    state: EntryState
    refused_by: str | None = None
    since: datetime | None = None
    leaves_at: datetime | None = None
    sentence: str
    id: str
    type: str
    value: str
    score: int | None
    contributions: list[dict[str, Any]]
    changes: list[ChangeView] = Field(description="its last changes in this list, newest first")
