"""Rules as the API accepts and returns them."""

from datetime import datetime
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from services.notifications.channel_types.base import Severity
from services.notifications.fields import GROUP_FIELDS
from services.notifications.rules.expression import parse_rule_filter
from services.notifications.rules.matching import Occasion
from services.notifications.topics import EVENT_TOPICS, OBSERVABLES, TopicName
from shared.filters.tokens import MAX_BYTES
from shared.stix import ObservableType

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]

Filter = Annotated[str, Field(max_length=MAX_BYTES)]


GroupField = Annotated[str, Field(min_length=1, max_length=60)]
"""A field of the rule's topic; `event` makes a message of each event by itself."""
_CHANGES: Final[list[Occasion]] = ["new", "changed"]


class EscalationBody(BaseModel):
    """The next recipients of a group that nobody has acknowledged."""

    model_config = ConfigDict(extra="forbid")

    after_seconds: int = Field(
        ge=60, le=604_800, description="After the opening, or after the step before."
    )
    channel_ids: list[UUID] = Field(min_length=1, max_length=20)


class RuleCreate(BaseModel):
    """A new rule; an empty list means any."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    enabled: bool = True
    on: list[Occasion] = Field(
        default=_CHANGES,
        min_length=1,
        max_length=4,
        description="Kinds of change; health: a feed's health improves or degrades.",
    )
    types: list[ObservableType] = Field(default=[], max_length=50)
    min_score: int | None = Field(
        None, ge=1, le=100, description="Matches what is new at, or rises to, this score."
    )
    sources: list[Word] = Field(default=[], max_length=500, description="Names of feeds.")
    tags: list[Word] = Field(default=[], max_length=500, description="Any of these.")
    filter: Filter = Field(
        "",
        description="An expression that has to match, too, for instance"
        ' `observable.value.under("example.com") && change.score >= 50`.',
    )
    channel_ids: list[UUID] = Field(min_length=1, max_length=20)
    group_by: list[GroupField] = Field(
        default=["source.name"],
        max_length=5,
        description="Fields whose values make a group: its first event is told at once, what"
        " follows in one message for each interval. None: one group of all. `event`: a message for"
        " each event.",
    )
    update_seconds: int = Field(
        300, ge=10, le=86_400, description="From one message of a group to the next."
    )
    max_groups: int = Field(
        20,
        ge=1,
        le=1000,
        description="Most groups that are open at a time; what would open more is told together.",
    )
    severity: Severity = "medium"
    digest_id: UUID | None = Field(
        None, description="The digest that tells of its matches, instead of messages of their own."
    )
    escalation: list[EscalationBody] = Field(
        default=[],
        max_length=5,
        description="Who is reminded when nobody has acknowledged a group in time.",
    )

    topic: TopicName = Field(
        "observables",
        description="What it tells of. `on`, `types`, `min_score` and `tags` are about observables"
        " alone; `sources`, `filter` and `group_by` are about the fields of the topic.",
    )

    @model_validator(mode="after")
    def _fits_topic(self) -> Self:
        fields = GROUP_FIELDS
        if self.topic != OBSERVABLES:
            fields = EVENT_TOPICS[self.topic].group_fields
            about_observables = self.types or self.tags or self.min_score or self.on != _CHANGES
            if about_observables:
                raise ValueError("on, types, min_score and tags are for the topic observables")
        for name in self.group_by:
            if name not in fields and name != "event":
                raise ValueError(f"group_by: {name} is none of {', '.join(sorted(fields))}")
        return self

    @model_validator(mode="after")
    def _can_group(self) -> Self:
        if "event" in self.group_by and len(self.group_by) > 1:
            raise ValueError("group_by: event stands alone")
        if self.escalation and self.group_by == ["event"]:
            raise ValueError("escalation needs groups: a single event cannot be acknowledged")
        return self

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if self.on == ["changed"] and self.min_score is None and not self.filter:
            raise ValueError(
                "min_score or filter is needed with on=['changed']: a change is news when it"
                " crosses a score, or when a filter says so"
            )
        return self


class RulePatch(BaseModel):
    """Changes of a rule; fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    enabled: bool | None = None
    on: list[Occasion] | None = Field(None, min_length=1, max_length=4)
    types: list[ObservableType] | None = Field(None, max_length=50)
    min_score: int | None = Field(None, ge=1, le=100)
    sources: list[Word] | None = Field(None, max_length=500)
    tags: list[Word] | None = Field(None, max_length=500)
    filter: Filter | None = None
    channel_ids: list[UUID] | None = Field(None, min_length=1, max_length=20)
    group_by: list[GroupField] | None = Field(None, max_length=5)
    update_seconds: int | None = Field(None, ge=10, le=86_400)
    max_groups: int | None = Field(None, ge=1, le=1000)
    severity: Severity | None = None
    digest_id: UUID | None = None
    escalation: list[EscalationBody] | None = Field(None, max_length=5)
    topic: TopicName | None = None


class RuleView(BaseModel):
    """A rule."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    enabled: bool
    on: list[Occasion]
    types: list[str]
    min_score: int | None
    sources: list[str]
    tags: list[str]
    filter: str
    channel_ids: list[UUID]
    group_by: list[str]
    update_seconds: int
    max_groups: int
    severity: str
    digest_id: UUID | None
    escalation: list[EscalationBody]
    topic: str
    created_at: datetime
    updated_at: datetime

    @computed_field(description="The filter in words.")  # type: ignore[prop-decorator]
    @property
    def filter_sentence(self) -> str | None:
        """The filter in words; None if there is none."""
        return parse_rule_filter(self.filter, self.topic).sentence if self.filter else None


class RuleDraft(RuleCreate):
    """A rule to try. It tells nobody, so that it needs neither name nor channel yet."""

    name: Name = "dry run"
    channel_ids: list[UUID] = Field(default=[], max_length=20)


class DryRunBody(BaseModel):
    """A rule to try on the log."""

    model_config = ConfigDict(extra="forbid")

    rule: RuleDraft
    hours: int = Field(24, ge=1, le=168)


class StoredDryRunBody(BaseModel):
    """The time to try a stored rule on, and changes of it to try beside."""

    model_config = ConfigDict(extra="forbid")

    changes: RulePatch | None = None
    hours: int = Field(24, ge=1, le=168)


class HistogramBar(BaseModel):
    """What would have been told in an hour."""

    at: datetime
    matches: int
    messages: int


class SimulatedGroupView(BaseModel):
    """A group as it would have been."""

    id: UUID
    labels: dict[str, str]
    match_count: int
    messages: int
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None


class MessagePreview(BaseModel):
    """A message as it would have been sent."""

    id: UUID
    kind: str
    channel: str
    event_at: datetime
    match_count: int
    total_count: int
    documents: list[str] = Field(description="Empty if the kind of channel cannot show them.")


class DryRunResult(BaseModel):
    """What a rule would have told. Nothing was sent or stored."""

    changes: int = Field(description="In the log, as far as the tenant reads them.")
    match_count: int
    message_count: int
    group_count: int
    is_complete: bool = Field(description="Whether the log was read to its end.")
    histogram: list[HistogramBar]
    groups: list[SimulatedGroupView] = Field(description="The hundred largest.")
    messages: list[MessagePreview] = Field(description="The first twenty.")
    message_ids: list[UUID] = Field(description="Of the first thousand, as deliveries have them.")


class DryRunComparison(BaseModel):
    """A stored rule as it is, and with changes, if there are any."""

    before: DryRunResult
    after: DryRunResult | None
