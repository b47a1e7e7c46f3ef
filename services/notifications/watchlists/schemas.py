"""Watchlists as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.watchlists.index import MAX_VALUE, EntryKind

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w][\w .-]*$")]
Description = Annotated[str, Field(max_length=1000)]


class WatchlistCreate(BaseModel):
    """A new, empty watchlist."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description='Filters refer to it: `in watchlist("name")`.')
    description: Description = ""


class WatchlistPatch(BaseModel):
    """The changes of a watchlist. Its name stays: filters refer to it."""

    model_config = ConfigDict(extra="forbid")

    description: Description


class WatchlistView(BaseModel):
    """A watchlist without its entries."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    description: str
    entry_count: int
    version: int
    created_at: datetime
    updated_at: datetime


class EntryBody(BaseModel):
    """An entry to add."""

    model_config = ConfigDict(extra="forbid")

    value: str = Field(min_length=1, max_length=MAX_VALUE)
    kind: EntryKind | None = Field(
        None,
        description="network, domain, brand or value; by default an address or network, a domain,"
        " or else a value. A brand matches names that look like it.",
    )
    note: str = Field("", max_length=200)


class EntriesBody(BaseModel):
    """Entries to add or to remove."""

    model_config = ConfigDict(extra="forbid")

    entries: list[EntryBody] = Field(min_length=1, max_length=10_000)


class CsvBody(BaseModel):
    """Entries as CSV: value, and if you like kind and note."""

    model_config = ConfigDict(extra="forbid")

    csv: str = Field(
        max_length=7_000_000,
        description="A row for each entry: value, kind, note. A first row that names these"
        " columns may put them in another order. Rows that begin with # are left out.",
    )
    replace: bool = Field(False, description="Whether other entries are removed.")


class EntryView(BaseModel):
    """An entry."""

    model_config = ConfigDict(from_attributes=True)

    kind: EntryKind
    value: str
    note: str
    created_at: datetime
