"""What the lookup API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.observables.sightings.schemas import SightingKind
from services.observables.store.schemas import DataDates, ReferenceView, Verdict
from shared.stix import ObservableType
from shared.timestamps import Timestamp


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


class DatedObservable(Observable):
    """What is known about a value, and how old the reference data behind it is."""

    reference: DataDates


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
    others: list[ReferenceView] = Field(
        [], description="known observables of other types that have this value"
    )
    context: dict[str, Any] = Field(
        {}, description="what offline enrichers know of a value nobody has spoken of"
    )
    within: list[ReferenceView] = Field(
        [], description="known networks and domains it belongs to, and a URL's host"
    )
    inside: list[ReferenceView] = Field(
        [], description="known observables inside a network, at most 100"
    )
    reference: DataDates = {}


class LookupResponse(BaseModel):
    """Answers in the order of the values."""

    items: list[LookupResult]
    reference: DataDates


class Page(BaseModel):
    """A page of observables; `next` goes into `after` for the one that follows."""

    items: list[Observable]
    next: str | None
    reference: DataDates


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
    reference: DataDates


class Relation(BaseModel):
    """A relation from (`out`) or to (`in`) the observable that was asked about."""

    kind: str
    direction: Literal["in", "out"]
    other: ReferenceView
    source: str
    first_seen: datetime
    last_seen: datetime


class RelationPage(BaseModel):
    """A page of relations; `next` goes into `after` for the one that follows."""

    items: list[Relation]
    next: str | None
