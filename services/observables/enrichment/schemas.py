"""What the API of remote enrichment takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.observables.providers.base import Tlp
from shared.stix import ObservableType

JobState = Literal["waiting", "running", "done", "refused", "failed", "cancelled"]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Words = Annotated[list[Word], Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Blocked(BaseModel):
    """What holds a queue back."""

    kind: Literal["quota", "trouble", "key"] = Field(
        description="the provider's quota is used up, it keeps failing, or it refuses the key"
    )
    until: datetime
    reason: str | None


class ProviderQueue(BaseModel):
    """The queue in front of a provider."""

    owner: str = Field(description="whose key it is; `public` where there is none, or it is lent")
    waiting: int
    running: int
    used_today: int
    left_today: int | None = Field(
        description="of the day's budget (UTC); null where there is none"
    )
    pace: float = Field(description="calls a second, as of late")
    blocked: Blocked | None
    finished: datetime | None = Field(
        description="when all that waits will probably have been answered"
    )


class Enricher(BaseModel):
    """A remote enricher as the tenant sees it."""

    name: str
    title: str
    documentation: str
    types: list[ObservableType]
    key_fields: list[str] = Field(description="what a key consists of; empty where none is wanted")
    key_optional: bool
    has_key: bool
    lent_key: bool = Field(description="the operators lend theirs")
    enabled: bool
    obstacle: str | None = Field(description="why it cannot be asked")
    max_tlp: Tlp = Field(description="the strictest marking of an observable that is told to it")
    calls: int = Field(description="calls in any span of `seconds`")
    seconds: float
    daily: int | None = Field(description="calls in a day (UTC)")
    concurrency: int
    lifetime: float = Field(description="seconds during which an answer is not asked for again")
    lane: ProviderQueue | None = Field(description="null where nothing was ever asked")


class Rate(_Body):
    """What a paid plan allows."""

    calls: Annotated[int, Field(ge=1, le=100_000)]
    seconds: Annotated[float, Field(ge=0.1, le=86_400)]


class EnricherPatch(_Body):
    """What to change of a tenant's settings of an enricher."""

    enabled: bool | None = None
    key: (
        dict[str, Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[\x20-\x7e]+$")]]
        | None
    ) = Field(None, description="write-only; by the names in `key_fields`")
    max_tlp: Tlp | None = None
    rate: Rate | None = Field(None, description="of the plan that the key belongs to")
    daily: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="the plan's calls in a day"
    )


class EnrichRequest(_Body):
    """What to ask enrichers about."""

    values: Annotated[
        list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=1000)
    ]
    enrichers: Words | None = Field(None, description="all that can be asked, when not given")
    tlp: Tlp | None = Field(
        None, description="a marking of the values; that of their sources counts as well"
    )
    fresh: bool = Field(False, description="ask although there is an answer that is good enough")
    playbook: bool = Field(False, description="a program asks, and nobody waits: people go first")


class Job(BaseModel):
    """A question to a provider, and how far it has come."""

    id: UUID
    observable_id: UUID
    type: ObservableType
    value: str
    enricher: str
    state: JobState
    outcome: Literal["found", "unknown", "cached"] | None
    reason: dict[str, Any] | None = Field(
        description="why it was refused, failed, or is asked again"
    )
    attempts: int
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    estimate: datetime | None = Field(
        description="when one that waits will probably have been answered"
    )


class Progress(BaseModel):
    """A request's questions."""

    id: UUID
    requested_by: str
    created_at: datetime
    open: int = Field(description="how many have not ended")
    jobs: list[Job]


class JobPage(BaseModel):
    """A page of questions, the newest first; `next` goes into `after` for the one that follows."""

    items: list[Job]
    next: str | None


class CancelRequest(_Body):
    """Which waiting questions to take back; all of the tenant's when nothing is given."""

    ids: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    enricher: Word | None = None


class Cancelled(BaseModel):
    """How many questions were taken back."""

    cancelled: int


class PolicyCreate(_Body):
    """Which observables are asked about without anybody asking; an empty list means any."""

    name: Name
    enabled: bool = True
    enrichers: Annotated[Words, Field(min_length=1)]
    types: Words = Field(default_factory=list)
    sources: Words = Field(default_factory=list, description="names of feeds")
    tags: Words = Field(default_factory=list, description="any of these")
    min_score: Annotated[int, Field(ge=0, le=100)] = 0
    depth: Annotated[int, Field(ge=0, le=3)] = Field(
        0, description="how many answers away the new observables of answers are followed"
    )
    daily_budget: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        None, description="questions in a day (UTC)"
    )


class PolicyPatch(_Body):
    """What to change of a policy."""

    name: Name | None = None
    enabled: bool | None = None
    enrichers: Annotated[Words, Field(min_length=1)] | None = None
    types: Words | None = None
    sources: Words | None = None
    tags: Words | None = None
    min_score: Annotated[int, Field(ge=0, le=100)] | None = None
    depth: Annotated[int, Field(ge=0, le=3)] | None = None
    daily_budget: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None


class Policy(BaseModel):
    """A policy, and what it has asked today."""

    id: UUID
    name: str
    enabled: bool
    enrichers: list[str]
    types: list[str]
    sources: list[str]
    tags: list[str]
    min_score: int
    depth: int
    daily_budget: int | None
    created_at: datetime
    created_by: str
    asked_today: int
    over_budget_today: int


class Forecast(BaseModel):
    """What a policy would have asked."""

    days: int
    changes: int = Field(description="changes of observables in that time")
    calls: int
    by_enricher: dict[str, int]
    by_day: dict[str, int]
    over_budget: int
    refused: dict[str, int] = Field(description="questions that may not be asked, by reason")
    examples: list[tuple[str, str]] = Field(description="value and enricher of some of them")


class Applied(BaseModel):
    """How many questions a policy asked about the past."""

    asked: int
