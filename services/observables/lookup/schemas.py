"""What the observables API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.stix import ObservableType
from shared.timestamps import Timestamp

Verdict = Literal["malicious", "suspicious", "weak", "none"]
SightingKind = Literal["seen", "false-positive"]
RelationKind = Literal[
    "resolves-to",
    "belongs-to",
    "part-of",
    "communicates-with",
    "downloaded-from",
    "same-report",
    "related-to",
]


class Assertion(BaseModel):
    """One source's word about an observable."""

    source: str
    source_id: str
    tenant: str
    tlp: str
    reliability: int = Field(description="0 to 100: how far the source is trusted")
    confidence: int = Field(description="0 to 100: how sure the source is")
    tags: list[str]
    attack: list[str] = Field(description="ATT&CK ids that its malware and tags stand for")
    malware: str | None
    first_seen: datetime
    last_seen: datetime
    valid_until: datetime | None
    retracted_at: datetime | None


class Sighting(BaseModel):
    """A report that an observable was seen, or that it is harmless."""

    id: str
    kind: SightingKind
    count: int
    place: str
    note: str
    first_seen: datetime
    last_seen: datetime
    actor: str


class Enrichment(BaseModel):
    """What a remote enricher answered about an observable."""

    enricher: str
    tenant: str = Field(description="whose answer it is; those of `public` serve everybody")
    found: bool = Field(description="false when the provider knows nothing about it")
    facts: dict[str, Any]
    obtained_at: datetime
    expires_at: datetime = Field(description="until then the provider is not asked again")


class Observable(BaseModel):
    """What is known about a value: the tenant's own knowledge and the public one together."""

    id: str = Field(description="deterministic STIX 2.1 id")
    type: ObservableType
    value: str
    score: int = Field(description="0 to 100 at this moment; `explain` lists its parts")
    verdict: Verdict
    tags: list[str]
    attack: list[str] = Field(description="ATT&CK ids that malware and tags stand for")
    first_seen: datetime
    last_seen: datetime
    context: dict[str, Any] = Field(description="what offline enrichers found, by enricher")
    assertions: list[Assertion]
    sightings: list[Sighting]
    enrichments: list[Enrichment] = Field(
        description="what remote enrichers answered, the newest of each"
    )
    depth: int = Field(
        description="how many answers of enrichers it is away from what a source or a person said"
    )


Dates = Annotated[
    dict[str, datetime],
    Field(
        description="the date of the data that each part of `context`, and `attack`, stand on, at least; "
        "of the past it is not known"
    ),
]


class DatedObservable(Observable):
    """What is known about a value, and how old the reference data behind it is."""

    reference: Dates


class Reference(BaseModel):
    """An observable in short."""

    id: str
    type: ObservableType
    value: str
    score: int
    verdict: Verdict


class LookupQuery(BaseModel):
    """One value to look up; defanged forms are understood."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[str, Field(max_length=8192)]
    type: ObservableType | None = Field(
        None, description="what it is; what it looks like when left out"
    )
    as_of: Timestamp | None = Field(
        None, description="answer with what was known at this moment (RFC 3339)"
    )


def parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    """The query parameters that a model describes, as OpenAPI lists them."""
    schema = query.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": described}
        for name, described in schema["properties"].items()
    ]


def body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body that a model describes, as OpenAPI has it."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


class LookupRequest(BaseModel):
    """Values to look up; types may be mixed, defanged forms are understood."""

    model_config = ConfigDict(extra="forbid")

    values: Annotated[
        list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=10_000)
    ]
    type: ObservableType | None = Field(
        None, description="what all of them are; what each looks like when left out"
    )
    describe: bool = Field(
        False, description="tell what lies here about values that nobody has spoken of"
    )
    as_of: Timestamp | None = Field(
        None, description="answer with what was known at this moment (RFC 3339)"
    )


class LookupResult(BaseModel):
    """One value's answer: the observable, None when it is unknown, or the problem when it is none."""

    value: str
    observable: Observable | None
    problem: str | None
    others: list[Reference] = Field(
        [], description="known observables of other types that have this value"
    )
    context: dict[str, Any] = Field(
        {}, description="what offline enrichers know of a value nobody has spoken of"
    )
    within: list[Reference] = Field(
        [], description="known networks and domains it belongs to, and a URL's host"
    )
    inside: list[Reference] = Field(
        [], description="known observables inside a network, at most 100"
    )
    reference: Dates = {}


class LookupResponse(BaseModel):
    """Answers in the order of the values."""

    items: list[LookupResult]
    reference: Dates


class Page(BaseModel):
    """A page of observables; `next` goes into `after` for the one that follows."""

    items: list[Observable]
    next: str | None
    reference: Dates


class Count(BaseModel):
    """How many observables match."""

    count: int


class Contribution(BaseModel):
    """One part of a score."""

    kind: Literal["source", "sighting", "enrichment", "allow-list", "false-positive"]
    name: str
    weight: float = Field(
        description="what it counts for alone: raises when positive, takes away when negative"
    )
    left: float = Field(description="what time has left of it, 0 to 1")
    points: float = Field(
        description="what it adds after the parts before it; the sum is the score"
    )
    reason: str


class Explanation(BaseModel):
    """A score and the parts that add up to it."""

    id: str
    value: str
    score: int
    verdict: Verdict
    contributions: list[Contribution]
    reference: Dates


class Value(BaseModel):
    """An observable by its value, defanged or not."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[str, Field(max_length=8192)]


class SightingReport(Value):
    """One sighting to report; times are of the observation, now when left out."""

    type: ObservableType | None = Field(
        None, description="what it is; what it looks like when left out"
    )
    kind: SightingKind = "seen"
    id: UUID | None = Field(
        None, description="to send a report again without counting twice; made when left out"
    )
    count: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    place: Annotated[str, Field(max_length=200)] = ""
    note: Annotated[str, Field(max_length=2000)] = ""
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None


class SightingsRequest(BaseModel):
    """Sightings to report."""

    model_config = ConfigDict(extra="forbid")

    sightings: Annotated[list[SightingReport], Field(min_length=1, max_length=1000)]


class SightingResult(BaseModel):
    """What came of a report."""

    id: str
    repeated: bool = Field(description="it had been reported before and changed nothing")
    observable: Reference


class RelationReport(BaseModel):
    """One relation to report, between observables that are known."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: Annotated[str, Field(alias="from", max_length=8192)]
    kind: RelationKind
    to: Annotated[str, Field(max_length=8192)]
    from_type: ObservableType | None = Field(
        None, description="what `from` is; what it looks like when left out"
    )
    to_type: ObservableType | None = Field(
        None, description="what `to` is; what it looks like when left out"
    )
    first_seen: Timestamp | None = None
    last_seen: Timestamp | None = None


class RelationsRequest(BaseModel):
    """Relations to report."""

    model_config = ConfigDict(extra="forbid")

    relations: Annotated[list[RelationReport], Field(min_length=1, max_length=1000)]


class Related(BaseModel):
    """STIX ids of the ends of a relation that was stored."""

    from_: Annotated[str, Field(serialization_alias="from")]
    to: str


class Relation(BaseModel):
    """A relation from (`out`) or to (`in`) the observable that was asked about."""

    kind: str
    direction: Literal["in", "out"]
    other: Reference
    source: str
    first_seen: datetime
    last_seen: datetime


class RelationPage(BaseModel):
    """A page of relations; `next` goes into `after` for the one that follows."""

    items: list[Relation]
    next: str | None


class Source(BaseModel):
    """A source and how many observables it asserts now."""

    tenant: str
    id: Any
    name: str
    reliability: int
    tlp: str
    observables: int


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

    observable: Reference | None
    allow_lists: list[list[str]] = Field(description="list, category, kind of match, entry")


class Extraction(BaseModel):
    """What a document names, in the order of first mentions."""

    observables: list[NamedObservable]
    attack: list[Extracted] = Field(description="ATT&CK ids")
    characters: int
    pages: int | None = Field(description="of a PDF")
    notes: list[str] = Field(description="what could not be read")
    reference: Dates


TrendKind = Literal["value", "malware", "as", "registrar"]


class Trend(BaseModel):
    """A burst of a value in several feeds, or a family, network or registrar that rises above its own baseline."""

    tenant: str
    id: UUID
    kind: TrendKind
    subject: str
    type: str | None
    value: str | None
    feeds: list[str]
    count: int
    baseline: float | None = Field(description="the mean of the windows before, of a rise")
    window_start: datetime
    window_seconds: int
    announced_at: datetime


class TrendPage(BaseModel):
    """A page of trends."""

    items: list[Trend]
    next: str | None


class Dataset(BaseModel):
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


class RunProgress(BaseModel):
    """How far a feed run has come here."""

    chunks: int
    received: int
    new: int
    changed: int
    rejected: int
