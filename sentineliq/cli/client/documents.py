"""The documents of the APIs as commands read them; fields that no command reads are left out."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from sentineliq.cli import output
from sentineliq.cli.client.format_options import Alternative
from shared.errors import SentinelIQError

T = TypeVar("T")


class UnexpectedDocument(SentinelIQError):
    """A service answered with a document of another shape: it has another version."""


def decode(kind: type[T], document: Any) -> T:
    """A document as the type that commands read.

    Raises:
        UnexpectedDocument: a field is missing or has another type; the message names it.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnexpectedDocument(f"a service gave an answer of another version: {error}") from error


class NamedItem(msgspec.Struct, frozen=True):
    """An item of a list that has a name."""

    id: str
    name: str


class FailureReason(msgspec.Struct, frozen=True):
    """Why a run, a job or a delivery failed.

    Attributes:
        where: the place in the document.
        field: the setting that is wrong.
        alternatives: arguments of which each settles a doubt.
    """

    message: str = "it failed"
    where: str | int | None = None
    field: str | None = None
    alternatives: list[Alternative] = []

    def line(self) -> str:
        """The message with the place."""
        place = self.where or self.field
        if not place or str(place) in self.message:
            return self.message
        return f"{self.message} ({place})"

    def __str__(self) -> str:
        return with_choices(self.line(), self.alternatives)


def with_choices(line: str, alternatives: Iterable[Alternative]) -> str:
    """A line, and the choices that it offers, each on a line of its own."""
    choices = [f"  {alternative.arguments()}" for alternative in alternatives]
    return "\n".join([line, "Choose one of:", *choices]) if choices else line


class SkippedLine(msgspec.Struct, frozen=True):
    """An example of what a run left out."""

    where: str
    raw: str


class UnitCounts(msgspec.Struct, frozen=True):
    """What became of a document's units, such as its lines; `left_out` and `context` by kind."""

    unit: str
    total: int
    read: int
    left_out: dict[str, int]
    context: dict[str, int]

    def line(self) -> str:
        """The counts for people: "12 lines: 9 read, 2 comment, 1 left out (1 single label)"."""
        parts = [f"{self.read:,} read"]
        if self.context:
            parts.append(output.format_counts(self.context))
        reasons = f" ({output.format_counts(self.left_out)})" if self.left_out else ""
        parts.append(f"{sum(self.left_out.values()):,} left out{reasons}")
        plural = "" if self.total == 1 else "s"
        return f"{self.total:,} {self.unit}{plural}: {', '.join(parts)}"

    def values_left_out(self, dropped: Mapping[str, int]) -> dict[str, int]:
        """What was left out of units beside the units that were left out as a whole, by reason."""
        rest = {reason: count - self.left_out.get(reason, 0) for reason, count in dropped.items()}
        return {reason: count for reason, count in rest.items() if count > 0}


def left_out_lines(account: UnitCounts | None, dropped: Mapping[str, int]) -> list[str]:
    """One account for people of all that was left out: whole units, then values within units."""
    if account is None:
        return [f"left out: {output.format_counts(dropped)}"] if dropped else []
    lines = [account.line()]
    if values := account.values_left_out(dropped):
        lines.append(f"values left out within {account.unit}s: {output.format_counts(values)}")
    return lines


class RunCounts(msgspec.Struct, frozen=True, rename={"observables": "taken"}):
    """The counts of a feed run; `observables` were ingested, `dropped` were left out."""

    observables: int = 0
    seen: int = 0
    gone: int = 0
    seconds: float | None = None
    types: dict[str, int] = {}
    dropped: dict[str, int] = {}
    examples: list[SkippedLine] = []
    notes: list[str] = []
    account: UnitCounts | None = None


class FeedRun(msgspec.Struct, frozen=True):
    """A run of a feed.

    Attributes:
        published: the number of indicators that it sent.
        applied: the number of them that are stored; None until that is known.
        difference: the number that was sent and is not stored.
        next_attempt_at: when a run that waits is tried again.
        input: where its document comes from, or what it does with one that was said before.
        retracts: the run that it takes back.
    """

    id: str
    feed: str
    state: str
    queued_at: str
    attempts: int
    requested_by: str
    error: FailureReason | None
    report: RunCounts | None
    published: int | None = None
    applied: int | None = None
    difference: int | None = None
    next_attempt_at: str | None = None
    input: str = "fetch"
    retracts: str | None = None

    @property
    def amendment(self) -> str:
        """What the run does with what the feed has said before; empty if nothing."""
        if self.input == "restoration":
            return "says again what was taken back"
        if self.input != "retraction":
            return ""
        return f"takes back the run {self.retracts}" if self.retracts else "takes back everything"


class RetractionCounts(msgspec.Struct, frozen=True):
    """What is, or would be, taken back.

    Attributes:
        retracts: the run whose document it is; None: all that the feed has said.
        listed: observables that the document names.
        returns_to: the run whose document holds again.
        kept_documents: other documents of the feed.
        pauses: whether the feed is fetched no more.
        restorable_until: None when it cannot be restored.
    """

    feed: str
    retracts: str | None
    listed: int
    returns_to: str | None
    kept_documents: int
    pauses: bool
    restorable_until: str | None


class StoredCounts(msgspec.Struct, frozen=True):
    """The counts of a run's observables, after they were stored."""

    received: int = 0
    new: int = 0
    changed: int = 0
    rejected: int = 0


class EnrichmentJob(msgspec.Struct, frozen=True):
    """One query to one enricher."""

    id: str
    value: str
    enricher: str
    state: str
    outcome: str | None
    attempts: int
    reason: FailureReason | None
    estimate: str | None


class FollowedRequest(msgspec.Struct, frozen=True):
    """A request with its jobs; `open` of them have not ended."""

    id: str
    open: int
    jobs: list[EnrichmentJob]


class LoadResult(msgspec.Struct, frozen=True):
    """The result of loading an ATT&CK release."""

    domain: str
    version: str
    techniques: int
    current: bool
    changes: dict[str, int] | None


class AttackLoad(msgspec.Struct, frozen=True):
    """A request to load an ATT&CK release."""

    id: str
    name: str
    state: str
    result: LoadResult | None
    error: FailureReason | None


class AttackRelease(msgspec.Struct, frozen=True):
    """An ATT&CK release of a domain."""

    name: str
    version: str
    current: bool
    counts: dict[str, int]


class AssertionSource(msgspec.Struct, frozen=True):
    """That a source asserts an observable."""

    source: str
    retracted_at: str | None
    malware: str | None = None
    last_seen: str | None = None
    valid_until: str | None = None


class AssessmentSentence(msgspec.Struct, frozen=True):
    """What the three numbers behind a score say, in a sentence."""

    sentence: str


class ObservableInShort(msgspec.Struct, frozen=True):
    """Another observable beside an answer: what a value lies within, or may be as well."""

    type: str
    value: str
    score: int


class EnrichmentAnswer(msgspec.Struct, frozen=True):
    """The newest facts of one enricher about an observable."""

    enricher: str
    facts: dict[str, Any]


class ObservableSummary(msgspec.Struct, frozen=True):
    """An observable with its score and its sources."""

    id: str
    value: str
    type: str
    score: int
    verdict: str
    tags: list[str]
    first_seen: str | None
    last_seen: str | None
    assertions: list[AssertionSource] = []
    enrichments: list[EnrichmentAnswer] = []
    assessment: AssessmentSentence | None = None
    attack: list[str] = []
    attack_inherited: list[str] = []
    context: dict[str, Any] = {}


class InheritedScore(msgspec.Struct, frozen=True):
    """What a value inherits from what it lies within."""

    score: int
    verdict: str


class ValueAnswer(msgspec.Struct, frozen=True):
    """The answer about one value: the observable, or why there is none.

    Attributes:
        value: as it was sent.
        canonical: the canonical form of a value that is not stored; empty of one that is.
    """

    value: str
    observable: ObservableSummary | None
    problem: str | None
    type: str = ""
    canonical: str = ""
    others: list[ObservableInShort] = []
    within: list[ObservableInShort] = []
    inside: list[ObservableInShort] = []
    inherited: InheritedScore | None = None
    context: dict[str, Any] = {}


class DeliverySummary(msgspec.Struct, frozen=True):
    """A notification through one channel."""

    id: str
    rule: str
    channel: str
    source: str
    state: str
    match_count: int
    attempts: int
    created_at: str
    last_error: FailureReason | None


class ScheduleSummary(msgspec.Struct, frozen=True):
    """A task that runs by the clock."""

    id: str
    name: str
    task: str
    queue: str
    enabled: bool
    disabled_reason: str | None
    next_due_at: str | None


class FireSummary(msgspec.Struct, frozen=True):
    """A firing of a schedule."""

    state: str
    due_at: str


class BeatSummary(msgspec.Struct, frozen=True):
    """A Beat process."""

    pid: int
    host: str
    seconds_since_tick: float
    last_fired_at: str | None


class EnricherQueue(msgspec.Struct, frozen=True):
    """The jobs that wait for an enricher."""

    waiting: int
    used_today: int
    finished: str | None
    blocked: "QueueHold | None"


class QueueHold(msgspec.Struct, frozen=True):
    """The reason why an enricher's queue waits, and the end of the wait."""

    kind: str
    until: str


class EnricherSummary(msgspec.Struct, frozen=True):
    """An enricher with its key, its limits and its queue."""

    name: str
    types: list[str]
    enabled: bool
    obstacle: str | None
    key_fields: list[str]
    has_key: bool
    lent_key: bool
    key_optional: bool
    calls: int
    seconds: float
    daily: int | None
    max_tlp: str
    queue: EnricherQueue | None
