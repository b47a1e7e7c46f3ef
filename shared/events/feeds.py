"""Events of the feeds service."""

from typing import Any, Final
from uuid import UUID

import msgspec

from shared.events.envelope import FeedRef, Topic

MAX_INDICATOR_BYTES: Final = 128 * 1024
"""Limit of one indicator as JSON: whatever else an event contains, it takes one."""


class IndicatorRelation(msgspec.Struct, frozen=True, gc=False):
    """A relation from an indicator's observable to another that the same entry of a source names.

    Attributes:
        kind: kind of the relation, such as "related-to".
        type: type of the other observable.
        value: its canonical value.
    """

    kind: str
    type: str
    value: str


class Indicator(msgspec.Struct, omit_defaults=True, frozen=True):
    """One source's statement about one observable.

    Attributes:
        type: observable type, a `shared.stix.ObservableType`.
        value: canonical value.
        confidence: 0 to 100, when it differs from the event's.
        tags: labels in addition to the event's.
        malware: malware family named by the source.
        first_seen: RFC 3339; when the source saw it first.
        valid_until: RFC 3339; when the source's claim ends by itself.
        last_seen: RFC 3339; when the source saw it last.
        description: the source's description of it.
        ref: the source's own id or address of the entry.
        relations: to the other observables of the entry. Of two of them one has the relation.
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
    relations: tuple[IndicatorRelation, ...] = ()


class IndicatorsObserved(msgspec.Struct, omit_defaults=True):
    """One chunk of a run: indicators that the feed lists, and those that it no longer lists.

    Attributes:
        run_id: the run; together with `chunk` it identifies the chunk, also in a repeated run.
        chunk: number of the chunk within its bucket and run.
        bucket: the range of observable ids that all indicators of a chunk lie in.
        observed_at: RFC 3339, the same for all chunks of a run.
        confidence: 0 to 100, for indicators without their own.
        tags: labels of all indicators.
        seen: up to 1,000 indicators.
        gone: indicators of the previous version that the feed no longer lists.
        statement_chunks: ends a full statement of this bucket, on its last chunk: the number of the
            bucket's chunks in this run. The run lists everything that the feed asserts in the
            bucket; what the feed asserted there before and does not list now is gone. A bucket
            in which the feed lists nothing gets one empty chunk.
        is_repetition: whether the run says everything again, so that what it lists is no news by
            itself; `repetition` in the payload, on all chunks of the run.
        is_amendment: whether a person takes back what the feed has said, or restores it: no news
            either way; `amendment` in the payload, on all chunks of the run.
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
    statement_chunks: int | None = None
    is_repetition: bool = msgspec.field(default=False, name="repetition")
    is_amendment: bool = msgspec.field(default=False, name="amendment")


class RunFinished(msgspec.Struct, omit_defaults=True):
    """A feed run ended.

    Attributes:
        state: succeeded (all its chunks are published), unchanged, held or failed.
        listed: observables that the feed lists; `taken` in the payload.
        dropped: lines or objects left out, by reason.
        bytes: size of the fetched document.
        seconds: duration of the run.
        error: code and message, when it failed.
        seen: indicators sent because they are new or have changed.
        gone: indicators sent because they are no longer listed.
        chunks: the number of chunks that the run published, by bucket. Receivers compare it with
            what they applied.
        is_full: whether the chunks are a full statement; `full` in the payload.
        is_amendment: whether a person takes back what the feed has said, or restores it;
            `amendment` in the payload. Rules tell of none of its changes: this event sums them up.
        retracts: the run whose document is taken back; absent when all is.
    """

    feed: FeedRef
    run_id: UUID
    state: str
    listed: int = msgspec.field(default=0, name="taken")
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    error: dict[str, str] | None = None
    seen: int = 0
    gone: int = 0
    chunks: dict[int, int] = msgspec.field(default_factory=dict)
    is_full: bool = msgspec.field(default=False, name="full")
    is_amendment: bool = msgspec.field(default=False, name="amendment")
    retracts: UUID | None = None


class HealthChanged(msgspec.Struct, omit_defaults=True):
    """A feed is doing better or worse than before.

    Attributes:
        state: healthy, late, empty, shrunk, drifted, unauthorised, unreachable or gone.
        before: the state until now.
        since: RFC 3339; when the new state began.
        evidence: one sentence as `reason`, and the figures it is based on.
    """

    feed: FeedRef
    state: str
    before: str
    since: str
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)


SOURCE = "/services/feeds"
"""The source that these events name."""

OBSERVED = Topic(
    "feeds.observed.v1",
    IndicatorsObserved,
    "A feed run saw, or no longer sees, these indicators.",
    "bucket",
)
FINISHED = Topic("feeds.finished.v1", RunFinished, "A feed run ended.", "feed")
HEALTH = Topic("feeds.health.v1", HealthChanged, "A feed's health changed.", "feed")
