"""What pages hear of the topics: which events, of whom, and about what. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import msgspec

from shared.auth import Principal
from shared.errors import InvalidInput
from shared.events import ConsumedRecord, Topic, feeds, mitre, notifications, observables, scheduler
from shared.events.envelope import parse
from shared.events.signature import EventVerifier
from shared.tenants import PUBLIC

_MAX_SUBJECTS: Final = 20
"""Subjects that a change names. Of bulk only the number is told."""
_TIME_DIGITS: Final = 15
SLACK_MS: Final = 10_000
"""How much later than its time a record may be read, after records of other partitions."""


class LiveTopic(NamedTuple):
    """A topic whose events pages hear.

    Attributes:
        topic: of the catalogue.
        permission: who may not read what the events are about does not hear them either.
        is_shared: whether all tenants read what `public` has.
    """

    topic: Topic[Any]
    permission: str
    is_shared: bool


LIVE_TOPICS: Final = {
    topic.topic.name: topic
    for topic in (
        LiveTopic(feeds.FINISHED, "feeds:read", is_shared=True),
        LiveTopic(feeds.HEALTH, "feeds:read", is_shared=True),
        LiveTopic(observables.CHANGED, "observables:read", is_shared=True),
        LiveTopic(observables.APPLIED, "feeds:read", is_shared=True),
        LiveTopic(observables.ENRICHED, "observables:read", is_shared=False),
        LiveTopic(observables.TRENDING, "observables:read", is_shared=True),
        LiveTopic(observables.LISTS, "lists:read", is_shared=False),
        LiveTopic(notifications.DELIVERED, "notifications:read", is_shared=False),
        LiveTopic(mitre.RELEASED, "mitre:read", is_shared=True),
        LiveTopic(scheduler.FIRED, "schedules:read", is_shared=False),
    )
}
"""The audit is not among them: it is read, and not listened to."""

_SCREENS: Final = (
    ("/feeds", (feeds.FINISHED.name, feeds.HEALTH.name, observables.APPLIED.name)),
    ("/runs", (feeds.FINISHED.name, observables.APPLIED.name)),
    ("/observables/", (observables.CHANGED.name, observables.ENRICHED.name)),
    ("/observables", (observables.CHANGED.name,)),
    ("/enrichments", (observables.ENRICHED.name,)),
    ("/notifications", (notifications.DELIVERED.name,)),
    ("/lists", (observables.LISTS.name,)),
    ("/attack", (mitre.RELEASED.name,)),
    ("/schedules", (scheduler.FIRED.name,)),
)
_OVERVIEW: Final = (
    feeds.FINISHED.name,
    feeds.HEALTH.name,
    observables.APPLIED.name,
    observables.TRENDING.name,
    notifications.DELIVERED.name,
    mitre.RELEASED.name,
)


def live_topics(path: str) -> tuple[str, ...]:
    """The topics that a page shows something of.

    Args:
        path: of the page, below the console.
    """
    if path in {"", "/"}:
        return _OVERVIEW
    for prefix, topics in _SCREENS:
        if path.startswith(prefix):
            return topics
    return ()


def live_subject(path: str) -> str:
    """What the page of one object listens for: its id; nothing on other pages."""
    parts = path.strip("/").split("/")
    return parts[1] if len(parts) == 2 and parts[0] == "observables" else ""


@dataclass(frozen=True, slots=True)
class LiveChange:
    """An event as pages hear it.

    Attributes:
        at: when Kafka took it, in milliseconds since 1970.
        place: that time, and where it lies: an id by which a stream is taken up again, in another
            process as well.
        count: of what has changed.
        subjects: ids of what it is about; empty for bulk.
    """

    at: int
    place: str
    topic: str
    tenant: str
    count: int
    subjects: tuple[str, ...]

    def is_for(self, principal: Principal) -> bool:
        """Whether a person hears of it."""
        live = LIVE_TOPICS[self.topic]
        is_own = self.tenant == principal.tenant
        is_public = live.is_shared and self.tenant == PUBLIC
        return (is_own or is_public) and principal.may(live.permission)

    def encode(self) -> bytes:
        """The event of a stream (HTML, server-sent events)."""
        data = msgspec.json.encode(
            {"topic": self.topic, "count": self.count, "subjects": self.subjects}
        )
        return b"id: %s\nevent: change\ndata: %s\n\n" % (self.place.encode(), data)


class _Subject(msgspec.Struct):
    id: str


class _Payload(msgspec.Struct):
    """What payloads name of the objects that they are about; the rest is not read."""

    changes: list[_Subject] | None = None
    feed: _Subject | None = None
    id: str | None = None
    source_id: str | None = None
    run_id: str | None = None
    rule_id: str | None = None
    delivery_id: str | None = None
    schedule_id: str | None = None
    list_id: str | None = None

    def subjects(self) -> tuple[str, ...]:
        """The ids, but for those of bulk."""
        changes = self.changes or []
        several = [change.id for change in changes] if len(changes) <= _MAX_SUBJECTS else []
        feed = self.feed.id if self.feed else None
        singles = [self.id, self.source_id, self.run_id, self.rule_id, self.delivery_id]
        singles += [self.schedule_id, self.list_id, feed]
        return (*several, *(name for name in singles if name))


_DECODER: Final = msgspec.json.Decoder(_Payload)


def read_change(record: ConsumedRecord, topic: str, verifier: EventVerifier) -> LiveChange | None:
    """Read a record; None if it is no event of its topic, or nobody who may send it signed it.

    Args:
        record: may hold anything.
        topic: its name in the catalogue.
        verifier: of signatures.
    """
    live_topic = LIVE_TOPICS[topic].topic
    try:
        verifier.verify(live_topic, record)
        event = parse(live_topic, record, _DECODER)
    except InvalidInput:
        return None
    payload: _Payload = event.data
    place = f"{record.timestamp}.{topic}.{record.partition}.{record.offset}"
    count = len(payload.changes) if payload.changes is not None else 1
    return LiveChange(record.timestamp, place, topic, event.tenant, count, payload.subjects())


def merge_changes(changes: Iterable[LiveChange]) -> list[LiveChange]:
    """Put those of bulk together: more than 20 of a topic and a tenant that arrive at once.

    A feed of a million entries comes in a thousand events: pages hear of them a few times a second.
    """
    groups: dict[tuple[str, str], list[LiveChange]] = {}
    for change in changes:
        groups.setdefault((change.topic, change.tenant), []).append(change)
    merged: list[LiveChange] = []
    for group in groups.values():
        merged += group if len(group) <= _MAX_SUBJECTS else [_sum_of(group)]
    return merged


def _sum_of(group: list[LiveChange]) -> LiveChange:
    newest = max(group, key=lambda change: change.at)
    return replace(newest, count=sum(change.count for change in group), subjects=())


def resume_time(event_id: str, page_time: str, now: int) -> int:
    """The time since which a stream tells, in milliseconds since 1970.

    After an event it is a little earlier than that event: records of other partitions may have come
    late. Pages know by their ids what they have heard.

    Args:
        event_id: of the last event that a browser got; empty when it got none.
        page_time: when its page was made, as text of a browser.
        now: what stands for a time that is none.
    """
    after = _read_time(event_id.partition(".")[0])
    if after is not None:
        return after - SLACK_MS
    if "." in page_time:
        return resume_time(page_time, "", now)
    page = _read_time(page_time)
    return now if page is None else min(page, now)


def _read_time(text: str) -> int | None:
    is_time = text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS
    return int(text) if is_time else None
