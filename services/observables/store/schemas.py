"""Sources and runs as the API shows them, and the parts that several answers share."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shared.stix import ObservableType

Verdict = Literal["malicious", "suspicious", "weak", "none"]
DataDates = Annotated[
    dict[str, datetime],
    Field(
        description="the date of the data that each part of `context`, and `attack`, stand on, "
        "at least; "
        "of the past it is not known"
    ),
]


class ReferenceView(BaseModel):
    """An observable in short."""

    id: str
    type: ObservableType
    value: str
    score: int
    verdict: Verdict


class AssertingSourceView(BaseModel):
    """A source and how many observables it asserts now."""

    tenant: str
    id: Any
    name: str
    reliability: int
    tlp: str
    observables: int


class RunProgressView(BaseModel):
    """How far a feed run has come here."""

    chunks: int
    received: int
    new: int
    changed: int
    rejected: int
