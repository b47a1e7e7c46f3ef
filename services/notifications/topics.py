"""The topics that rules tell of beside changes of observables, with the fields of their events.

Each topic is a table of fields: what a filter may name, what messages show, and what groups have in
common. `source.name` is what caused the event: the feed, the schedule, the channel, the service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple

from shared.events import Event, Topic
from shared.events.feeds import FINISHED, HEALTH
from shared.events.mitre import RELEASED
from shared.events.notifications import DELIVERED
from shared.events.observables import LISTS, TRENDING
from shared.events.scheduler import FIRED
from shared.filters.model import FilterModel, ModelField, ValueType

TopicName = Literal[
    "observables",
    "runs",
    "health",
    "trends",
    "releases",
    "schedules",
    "lists",
    "deliveries",
]
OBSERVABLES: Final = "observables"
DELIVERIES: Final = "deliveries"
_TRENDS: Final = "trends"


class EventField(NamedTuple):
    """A field of a topic's events.

    Attributes:
        path: as filters and groups name it.
        phrase: its name in a sentence.
        read: gets its value from an event.
    """

    path: str
    type: ValueType
    phrase: str
    read: Callable[[Event[Any]], Any]
    is_optional: bool = False


@dataclass(frozen=True)
class EventTopic:
    """A topic that rules tell of.

    Attributes:
        name: in the API.
        word: what an event of it is about, in a word.
        topic: where its events are.
        is_shared: whether events of `public` concern the rules of all tenants.
        fields: of its events; the first is the title of an event in messages.
    """

    name: TopicName
    word: str
    topic: Topic[Any]
    is_shared: bool
    fields: tuple[EventField, ...]

    @cached_property
    def model(self) -> FilterModel:
        """The fields that filters may name."""
        return FilterModel(
            ModelField(
                path=each.path,
                type=each.type,
                attributes=(_attribute(each.path),),
                phrase=each.phrase,
                is_optional=each.is_optional,
            )
            for each in self.fields
        )

    @cached_property
    def group_fields(self) -> frozenset[str]:
        """The fields that rules may group by."""
        return frozenset(
            each.path
            for each in self.fields
            if each.type is ValueType.text and not each.is_optional
        )

    def values(self, event: Event[Any]) -> dict[str, Any]:
        """The fields of an event by their paths; those that are absent are left out."""
        pairs = ((each.path, each.read(event)) for each in self.fields)
        return {path: value for path, value in pairs if value is not None}

    def subject(self, values: Mapping[str, Any]) -> SimpleNamespace:
        """An event's fields as a filter of this topic reads them."""
        return SimpleNamespace(
            **{_attribute(each.path): values.get(each.path) for each in self.fields}
        )

    @cached_property
    def sample(self) -> dict[str, Any]:
        """Values that fields of its events might have, by their paths."""
        return {each.path: _SAMPLES.get(each.type, each.phrase) for each in self.fields}

    def match(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """An event's fields as messages and the ledger have them."""
        title = str(values[self.fields[0].path])
        match = {"topic": self.name, "kind": self.word, "title": title, "fields": dict(values)}
        if self.name == _TRENDS:
            # A trend does not say how its observations are marked: a value is closed to all but
            # those who may read everything, a family or a network to those beyond the organisation.
            match["tlp"] = "red" if values.get("trend.kind") == "value" else "amber"
        return match


_SAMPLES: Final[Mapping[ValueType, Any]] = {
    ValueType.integer: 3,
    ValueType.decimal: 1.5,
    ValueType.boolean: False,
    ValueType.texts: ["first", "second"],
}
"""For a text, its name stands in."""


def _attribute(path: str) -> str:
    return path.replace(".", "_")


def _of(name: str) -> Callable[[Event[Any]], Any]:
    return lambda event: getattr(event.data, name)


def _feed(event: Event[Any]) -> str:
    return str(event.data.feed.name)


def _error(event: Event[Any]) -> str | None:
    error = event.data.error
    return str(error.get("code", "")) if error else None


def _reason(event: Event[Any]) -> str | None:
    reason = event.data.evidence.get("reason")
    return None if reason is None else str(reason)


def _list_or_consumer(event: Event[Any]) -> str:
    return str(event.data.list or event.data.consumer)


_TEXT: Final = ValueType.text
_WHOLE: Final = ValueType.integer
_LIST: Final = ValueType.texts

_TOPICS: Final = (
    EventTopic(
        "runs",
        "run",
        FINISHED,
        True,
        (
            EventField("source.name", _TEXT, "the feed", _feed),
            EventField("run.state", _TEXT, "the state of the run", _of("state")),
            EventField("run.listed", _WHOLE, "the number of entries", _of("listed")),
            EventField("run.seen", _WHOLE, "the number of new entries", _of("seen")),
            EventField("run.gone", _WHOLE, "the number of entries that left", _of("gone")),
            EventField("run.bytes", _WHOLE, "the size of the document", _of("bytes")),
            EventField("run.seconds", ValueType.decimal, "the duration", _of("seconds")),
            EventField("run.error", _TEXT, "the error", _error, is_optional=True),
            EventField(
                "run.is_amendment",
                ValueType.boolean,
                "whether a person takes it back",
                _of("is_amendment"),
            ),
        ),
    ),
    EventTopic(
        "health",
        "health",
        HEALTH,
        True,
        (
            EventField("source.name", _TEXT, "the feed", _feed),
            EventField("health.state", _TEXT, "the state of the feed", _of("state")),
            EventField("health.before", _TEXT, "the state before", _of("before")),
            EventField("health.reason", _TEXT, "the reason", _reason, is_optional=True),
        ),
    ),
    EventTopic(
        "trends",
        "trend",
        TRENDING,
        True,
        (
            EventField(
                "trend.subject",
                _TEXT,
                "what is rising",
                lambda event: event.data.subject or event.data.value,
            ),
            EventField("trend.kind", _TEXT, "the kind of trend", _of("kind")),
            EventField("trend.type", _TEXT, "the type", _of("type")),
            EventField("trend.count", _WHOLE, "the number of reports", _of("count")),
            EventField(
                "trend.baseline",
                ValueType.decimal,
                "the usual number",
                _of("baseline"),
                is_optional=True,
            ),
            EventField("trend.feeds", _LIST, "the feeds", _of("feeds")),
            EventField("source.name", _TEXT, "the kind of trend", _of("kind")),
        ),
    ),
    EventTopic(
        "releases",
        "release",
        RELEASED,
        True,
        (
            EventField("source.name", _TEXT, "the domain of ATT&CK", _of("domain")),
            EventField("release.version", _TEXT, "the version", _of("version")),
            EventField(
                "release.previous", _TEXT, "the version before", _of("previous"), is_optional=True
            ),
            EventField("release.added", _LIST, "the new techniques", _of("added")),
            EventField("release.changed", _LIST, "the changed techniques", _of("changed")),
            EventField("release.revoked", _LIST, "the revoked techniques", _of("revoked")),
            EventField("release.deprecated", _LIST, "the old techniques", _of("deprecated")),
        ),
    ),
    EventTopic(
        "schedules",
        "schedule",
        FIRED,
        False,
        (
            EventField("source.name", _TEXT, "the schedule", _of("name")),
            EventField("schedule.state", _TEXT, "the state of the firing", _of("state")),
            EventField("schedule.task", _TEXT, "the task", _of("task")),
        ),
    ),
    EventTopic(
        "lists",
        "list",
        LISTS,
        False,
        (
            EventField("source.name", _TEXT, "the list or its consumer", _list_or_consumer),
            EventField("list.kind", _TEXT, "what has happened to it", _of("kind")),
            EventField("list.name", _TEXT, "the list", _of("list")),
            EventField("list.consumer", _TEXT, "the consumer", _of("consumer")),
            EventField("list.reason", _TEXT, "the reason", _of("reason")),
            EventField("list.members", _WHOLE, "the number of entries", _of("members")),
        ),
    ),
    EventTopic(
        DELIVERIES,
        "delivery",
        DELIVERED,
        False,
        (
            EventField("source.name", _TEXT, "the channel", _of("channel")),
            EventField("delivery.rule", _TEXT, "the rule", _of("rule")),
            EventField("delivery.state", _TEXT, "the state of the delivery", _of("state")),
            EventField("delivery.matches", _WHOLE, "the number of matches", _of("matches")),
            EventField("delivery.attempts", _WHOLE, "the number of attempts", _of("attempts")),
            EventField("delivery.error", _TEXT, "the error", _error, is_optional=True),
        ),
    ),
)

EVENT_TOPICS: Final[Mapping[str, EventTopic]] = {each.name: each for each in _TOPICS}
"""By name."""
