"""The answer of an extraction, as the API shows it."""

from pydantic import BaseModel, Field

from services.observables.store.schemas import DataDates, ReferenceView


class PositionView(BaseModel):
    """One place in a document, in characters of its text."""

    start: int
    end: int
    page: int | None = Field(None, description="of a PDF, from 1")
    written: str | None = Field(None, description="how it was written, where that is not the value")


class ExtractedValueView(BaseModel):
    """A value with its first hundred places."""

    type: str
    value: str
    count: int
    positions: list[PositionView]


class ExtractedObservableView(ExtractedValueView):
    """A value in a document, with what is stored about it and the allow-lists it is on."""

    observable: ReferenceView | None
    allow_lists: list[list[str]] = Field(description="list, category, kind of match, entry")


class ExtractionView(BaseModel):
    """The values that a document names, in the order of first mentions."""

    observables: list[ExtractedObservableView]
    attack: list[ExtractedValueView] = Field(description="ATT&CK ids")
    characters: int
    pages: int | None = Field(description="of a PDF")
    notes: list[str] = Field(description="what could not be read")
    reference: DataDates
