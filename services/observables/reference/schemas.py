"""Reference data as the API shows it."""

from datetime import datetime

from pydantic import BaseModel, Field


class DatasetView(BaseModel):
    """A set of reference data; without `obtained_at` it is not here yet."""

    name: str
    title: str
    licence: str
    origin: str | None = Field(
        description="where it was fetched from; `bundled` when it came with the installation"
    )
    bytes: int | None
    obtained_at: datetime | None
    checked_at: datetime | None
    error: str | None = Field(description="why it could not be renewed")
