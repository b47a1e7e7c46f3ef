"""What the observables API takes and gives."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from shared.stix import ObservableType


class Assertion(BaseModel):
    """One source's word about an observable."""

    source: str
    source_id: str
    tenant: str
    tlp: str
    reliability: int = Field(description="0 to 100: how far the source is trusted")
    confidence: int = Field(description="0 to 100: how sure the source is")
    tags: list[str]
    malware: str | None
    first_seen: datetime
    last_seen: datetime
    valid_until: datetime | None
    retracted_at: datetime | None


class Observable(BaseModel):
    """What is known about a value: the tenant's own knowledge and the public one together."""

    id: str = Field(description="deterministic STIX 2.1 id")
    type: ObservableType
    value: str
    score: int = Field(description="0 to 100; `explain` lists its parts")
    tags: list[str]
    first_seen: datetime
    last_seen: datetime
    assertions: list[Assertion]


class LookupRequest(BaseModel):
    """Values to look up; types may be mixed, defanged forms are understood."""

    model_config = ConfigDict(extra="forbid")

    values: Annotated[list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=10_000)]


class LookupResult(BaseModel):
    """One value's answer: the observable, None when it is unknown, or the problem when it is none."""

    value: str
    observable: Observable | None = None
    problem: str | None = None


class LookupResponse(BaseModel):
    """Answers in the order of the values."""

    items: list[LookupResult]


class Page(BaseModel):
    """A page of observables; `next` goes into `after` for the one that follows."""

    items: list[Observable]
    next: str | None


class Count(BaseModel):
    """How many observables match."""

    count: int


class Contribution(BaseModel):
    """One source's part in a score."""

    source: str
    reliability: int
    confidence: int
    points: float


class Explanation(BaseModel):
    """A score and the parts that add up to it."""

    id: str
    value: str
    score: int
    contributions: list[Contribution]


class Source(BaseModel):
    """A source and how many observables it asserts now."""

    tenant: str
    id: Any
    name: str
    reliability: int
    tlp: str
    observables: int


class RunProgress(BaseModel):
    """How far a feed run has come here."""

    chunks: int
    received: int
    new: int
    changed: int
    rejected: int
