"""Events of the observables service."""

from typing import Literal
from uuid import UUID

import msgspec

from shared.events.envelope import Event, Topic, derived_id

ChangeKind = Literal["new", "changed", "expired"]
Fact = str | int | float | bool | list[str | int | float] | None


class Change(msgspec.Struct, omit_defaults=True, frozen=True):
    """One observable before and after.

    Attributes:
        id: STIX id, for instance `ipv4-addr--…`.
        kind: new: first seen in this tenant; changed: score, tags or sources differ; expired: no
            source asserts it now, or its score fell below 20.
        score: 0 to 100 after the change.
        score_before: 0 to 100, absent when new.
        tags: all labels after the change.
        sources: the number of sources that assert it after the change.
        attack: ATT&CK ids that its malware and tags map to.
        cause: of a change without a run, what caused it, for instance a sighting's id. A service
            whose database was restored repeats it.
        tlp: the strictest marking of the sources and their assertions: a level of TLP 2.0, or
            `closed` (PAP:RED, or a marking that is unknown here).
        attack_stated: those of `attack` that sources name: software, groups, and techniques by
            their ids. The others are techniques that this software and these groups use.
        standard_id: the STIX id as other producers compute it; absent where `id` is that.
        malicious: 0 to 100, how sure it is that it was ever bad; absent when it is the score.
        active: 0 to 100, how sure it is that it is bad now; absent when it is the score.
        relevant: 0 to 100, how much it was seen in this tenant lately; absent when it is 0.
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
    cause: str | None = None
    tlp: str = "clear"
    attack_stated: tuple[str, ...] = ()
    standard_id: str | None = None
    malicious: int | None = None
    active: int | None = None
    relevant: int | None = None


class ObservablesChanged(msgspec.Struct, omit_defaults=True):
    """Up to 1,000 changes with the same cause.

    Attributes:
        source_id: the feed that caused them; nil for other causes.
        source: the feed's name; `time`, `sighting` or `enrichment` for other causes.
        run_id: the feed run, if one caused them.
        is_amendment: whether a person takes back by that run what a feed has said, or restores it:
            no rule and no policy acts on it; `amendment` in the payload.
    """

    source_id: UUID
    source: str
    changes: list[Change]
    run_id: UUID | None = None
    is_amendment: bool = msgspec.field(default=False, name="amendment")


class RunApplied(msgspec.Struct, omit_defaults=True):
    """The chunks of a feed run were applied, or some of them did not arrive.

    Attributes:
        source_id: the feed.
        run_id: the run; `feeds.finished.v1` told how many chunks it published.
        state: applied: all of its chunks; incomplete: some have not arrived within a minute. A
            later event may tell that the others came after all.
        chunks: the number of chunks that were applied.
        received: the number of indicators in them.
        rejected: indicators in them that could not be stored; they are dead letters.
        corrected: assertions that a full statement retracted, and those that it had to repair.
        missing: the number of chunks that are missing, by bucket.
    """

    source_id: UUID
    run_id: UUID
    state: Literal["applied", "incomplete"]
    chunks: int = 0
    received: int = 0
    rejected: int = 0
    corrected: int = 0
    missing: dict[int, int] = msgspec.field(default_factory=dict)


class ScoresComputed(msgspec.Struct):
    """All stored scores were computed again with another model; single changes are not published.

    Attributes:
        model: the version of the model of scores.
        observables: how many were scored, over all tenants.
        moved: of how many the score moved by five points or across 80, 50 or 20.
        before: how many had each verdict.
        after: how many have it now.
    """

    model: int
    observables: int
    moved: int
    before: dict[str, int] = msgspec.field(default_factory=dict)
    after: dict[str, int] = msgspec.field(default_factory=dict)


class Enriched(msgspec.Struct, omit_defaults=True):
    """One enricher's answer about one observable.

    Attributes:
        enricher: the plug-in's name.
        facts: the facts that are shown.
        obtained_at: RFC 3339.
        is_known: whether the provider knows the value; `found` in the payload.
    """

    id: str
    type: str
    value: str
    enricher: str
    facts: dict[str, Fact]
    obtained_at: str
    is_known: bool = msgspec.field(default=True, name="found")


class Trending(msgspec.Struct):
    """A burst of a value in several feeds, or a rise of a subject above its baseline.

    Attributes:
        id: STIX id of the subject: observable, malware family, autonomous system or registrar.
        feeds: names of the feeds.
        window_seconds: length of the window.
        started_at: RFC 3339, when the window began.
        kind: value: a burst; malware, as, registrar: a rise of that family, autonomous system or
            registrar.
        subject: the value, the family, the autonomous system (`AS64496`), or the registrar.
        count: of a burst distinct feeds, of a rise new indicators.
        baseline: of a rise, new indicators in an average window before.
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


class ListNews(msgspec.Struct, omit_defaults=True):
    """A list was stopped or released, or a consumer of lists stopped polling or polls again.

    Attributes:
        kind: held: nothing new leaves the list until a person releases it; released: a person did;
            silent: a consumer polls no more; resumed: it polls again.
        list_id: the list; nil where it is about a consumer.
        list: its name.
        reason: why it was stopped.
        version: the one that consumers get.
        members: entries of the newest version.
        published: entries when the list was last judged normal.
        consumer_id: the consumer, if it is about one.
        consumer: its name.
        polled_at: RFC 3339, when it polled last.
    """

    kind: Literal["held", "released", "silent", "resumed"]
    list_id: UUID
    list: str = ""
    reason: str = ""
    version: int = 0
    members: int = 0
    published: int = 0
    consumer_id: UUID | None = None
    consumer: str = ""
    polled_at: str = ""


class ObjectsPosted(msgspec.Struct, omit_defaults=True):
    """STIX objects that a client has posted into a collection, or has deleted from it.

    Attributes:
        collection_id: the collection; a feed of the feeds service stands for it.
        collection: its title.
        tlp: the strictest marking of an object in it.
        post_id: what brought them; together with `piece` it identifies the event's content.
        piece: the place of its first object in what brought them.
        objects: as they were posted, each the newest version of its id; deleted ones are revoked.
        actor: who posted or deleted them.
    """

    collection_id: UUID
    collection: str
    post_id: UUID
    piece: int
    objects: list[msgspec.Raw]
    tlp: str = "amber"
    actor: str = ""


def change_id(event: Event[ObservablesChanged], change: Change) -> UUID:
    """What identifies a change, in however many events it comes.

    A feed run changes an observable once, as far as those are concerned who are notified of it; so
    does any other cause. That it expires is another change. An event of an earlier version names no
    cause; its own id then stands for that.
    """
    cause = change.cause or event.data.run_id or event.id
    has_expired = change.kind == "expired"
    return UUID(derived_id(CHANGED.name, event.tenant, cause, change.id, has_expired))


CHANGED = Topic(
    "observables.changed.v1",
    ObservablesChanged,
    "Observables are new, re-scored or expired, before and after.",
    "bucket",
)
APPLIED = Topic(
    "observables.applied.v1",
    RunApplied,
    "A feed run was applied, or chunks of it are missing.",
    "feed",
)
RESCORED = Topic(
    "observables.rescored.v1",
    ScoresComputed,
    "All stored scores were computed again with another model.",
    "tenant",
)
ENRICHED = Topic(
    "observables.enriched.v1", Enriched, "An enricher answered about an observable.", "observable"
)
TRENDING = Topic(
    "observables.trending.v1",
    Trending,
    "An observable bursts in several feeds, or a network, registrar or malware family rises.",
    "observable",
)
LISTS = Topic(
    "observables.lists.v1",
    ListNews,
    "A list was stopped or released, or a consumer of lists stopped polling.",
    "list",
)
POSTED = Topic(
    "observables.posted.v1",
    ObjectsPosted,
    "Clients have posted objects into a collection, or have deleted some.",
    "collection",
)
