"""What the extraction of a report answers."""

from pydantic import BaseModel, Field

from services.observables.store.schemas import DataDates, ReferenceView


class Position(BaseModel):
    """One place in a document, in characters of its text."""

    start: int
    end: int
    page: int | None = Field(None, description="of a PDF, from 1")
    written: str | None = Field(None, description="how it was written, where that is not the value")


class Extracted(BaseModel):
    """A value with its first hundred places."""

    type: str
    value: str
    count: int
    positions: list[Position]


class NamedObservable(Extracted):
    """A value in a document, with what is known of it and the allow-lists it is on."""

    observable: ReferenceView | None
    allow_lists: list[list[str]] = Field(description="list, category, kind of match, entry")


class Extraction(BaseModel):
    """What a document names, in the order of first mentions."""

    observables: list[NamedObservable]
    attack: list[Extracted] = Field(description="ATT&CK ids")
    characters: int
    pages: int | None = Field(description="of a PDF")
    notes: list[str] = Field(description="what could not be read")
    reference: DataDates
