"""What the feeds service says."""

from typing import Any
from uuid import UUID

import msgspec

from shared.events.envelope import FeedRef, Topic


class Indicator(msgspec.Struct, omit_defaults=True, frozen=True):
    """What one source says about one observable.

    Attributes:
        type: observable type, a `shared.stix.ObservableType`.
        value: canonical value.
        confidence: 0 to 100, when it differs from the event's.
        tags: labels in addition to the event's.
        malware: malware family named by the source.
        first_seen: RFC 3339; when the source says it saw it first.
        valid_until: RFC 3339; when the source takes the claim back by itself.
        last_seen: RFC 3339; when the source says it saw it last.
        description: the source's words about it.
        ref: the source's own id or address of the entry.
    """

    type: str
    value: str
    confidence: int | None = None
    tags: tuple[str, ...] = ()
    malware: str | None = None
    first_seen: str | None = None
    valid_until: str | None = None
    last_seen: str | None = None
    description: str | None = None
    ref: str | None = None


class IndicatorsObserved(msgspec.Struct, omit_defaults=True):
    """One chunk of a run: what the feed sees, and what it no longer sees.

    Attributes:
        run_id: the run; with `chunk` it identifies the chunk, also when a run is repeated.
        chunk: number of the chunk within its bucket and run.
        bucket: the range that the observables' ids lie in; all indicators of a chunk share it.
        observed_at: RFC 3339, the same for all chunks of a run.
        confidence: 0 to 100, for indicators that name none.
        tags: labels of all indicators.
        seen: up to 1,000 indicators.
        gone: indicators of the previous version that the feed no longer lists.
    """

    feed: FeedRef
    run_id: UUID
    bucket: int
    chunk: int
    observed_at: str
    confidence: int = 50
    tags: tuple[str, ...] = ()
    seen: list[Indicator] = msgspec.field(default_factory=list)
    gone: list[Indicator] = msgspec.field(default_factory=list)


class RunFinished(msgspec.Struct, omit_defaults=True):
    """A feed run ended.

    Attributes:
        state: succeeded, unchanged, held or failed.
        taken: observables that the feed lists.
        dropped: lines or objects left out, by reason.
        bytes: size of what was fetched.
        seconds: duration of the run.
        error: code and message, when it failed.
        seen: of those that are listed, how many were sent on because they are new or say something new.
        gone: how many were sent on because they are no longer listed.
    """

    feed: FeedRef
    run_id: UUID
    state: str
    taken: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    error: dict[str, str] | None = None
    seen: int = 0
    gone: int = 0


class HealthChanged(msgspec.Struct, omit_defaults=True):
    """A feed is doing better or worse than before.

    Attributes:
        state: healthy, late, empty, shrunk, drifted, unauthorised, unreachable or gone.
        before: the state until now.
        since: RFC 3339; when the new state began.
        evidence: what it was told by: one sentence as `reason`, and its figures.
    """

    feed: FeedRef
    state: str
    before: str
    since: str
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)


SOURCE = "/services/feeds"
"""What these events name as their source."""

OBSERVED = Topic(
    "feeds.observed.v1",
    IndicatorsObserved,
    "A feed run saw, or no longer sees, these indicators.",
    "bucket",
)
FINISHED = Topic("feeds.finished.v1", RunFinished, "A feed run ended.", "feed")
HEALTH = Topic("feeds.health.v1", HealthChanged, "A feed's health changed.", "feed")
