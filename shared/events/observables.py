"""What the observables service says."""

from typing import Literal
from uuid import UUID

import msgspec

from shared.events.envelope import Topic

ChangeKind = Literal["new", "changed", "expired"]
Fact = str | int | float | bool | list[str | int | float] | None


class Change(msgspec.Struct, omit_defaults=True, frozen=True):
    """One observable before and after.

    Attributes:
        id: STIX id, for instance `ipv4-addr--…`.
        kind: new: first seen in this tenant; changed: score, tags or sources differ; expired: nobody asserts it now, or
            its score fell below 20.
        score: 0 to 100 after the change.
        score_before: 0 to 100, absent when new.
        tags: all labels after the change.
        sources: how many sources assert it after the change.
        attack: ATT&CK ids that its malware and tags stand for.
    """

    id: str
    type: str
    value: str
    kind: ChangeKind
    score: int
    score_before: int | None = None
    tags: tuple[str, ...] = ()
    sources: int = 1
    attack: tuple[str, ...] = ()


class ObservablesChanged(msgspec.Struct, omit_defaults=True):
    """Up to 1,000 changes that one source caused.

    Attributes:
        source_id: the feed that caused them; nil when it was none.
        source: its name; `time`, `sighting` or `enrichment` when it was no feed.
        run_id: the feed run, when one caused it.
    """

    source_id: UUID
    source: str
    changes: list[Change]
    run_id: UUID | None = None


class Enriched(msgspec.Struct, omit_defaults=True):
    """One enricher's answer about one observable.

    Attributes:
        enricher: the plug-in's name.
        facts: what it says, as it is shown.
        obtained_at: RFC 3339.
        found: false when the provider knows nothing about the value.
    """

    id: str
    type: str
    value: str
    enricher: str
    facts: dict[str, Fact]
    obtained_at: str
    found: bool = True


class Trending(msgspec.Struct):
    """A burst: an observable seen in several feeds within a window; or a rise of a subject above its baseline.

    Attributes:
        id: STIX id of what trends: the observable, or the malware family, autonomous system or registrar.
        feeds: names of the feeds.
        window_seconds: length of the window.
        started_at: RFC 3339, when the window began.
        kind: value: a burst; malware, as, registrar: a rise of that family, autonomous system or registrar.
        subject: the value, the family, the autonomous system (`AS64496`), or the registrar.
        count: distinct feeds of a value; new indicators of a subject.
        baseline: new indicators of the subject in a window before, on average.
    """

    id: str
    type: str
    value: str
    feeds: list[str]
    window_seconds: int
    started_at: str
    kind: Literal["value", "malware", "as", "registrar"] = "value"
    subject: str = ""
    count: int = 0
    baseline: float | None = None


CHANGED = Topic(
    "observables.changed.v1",
    ObservablesChanged,
    "Observables are new, re-scored or expired, before and after.",
    "bucket",
)
ENRICHED = Topic(
    "observables.enriched.v1", Enriched, "An enricher answered about an observable.", "observable"
)
TRENDING = Topic(
    "observables.trending.v1",
    Trending,
    "An observable bursts, seen in several feeds within a window; or a network, registrar or malware family rises.",
    "observable",
)
