"""Handlers of events: write a delivery for each rule and channel that an event concerns.

They run in the consumer's transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.channels.service import enabled_channel_names
from services.notifications.deliveries.service import NewDelivery, add_deliveries, delivery_id
from services.notifications.rules import repository
from services.notifications.rules.matching import Conditions, Occasion, RuleSet
from services.notifications.rules.repository import Rule
from shared.events import Event
from shared.events.feeds import HealthChanged
from shared.events.observables import Change, ObservablesChanged, change_id
from shared.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All enabled rules at one version.

    Attributes:
        version: see `repository.rules_version`.
        rules: those that notify at least one enabled channel.
        channels: rule id -> id and name of each enabled channel that it notifies.
    """

    version: tuple[str, int]
    rules: RuleSet
    channels: dict[UUID, list[tuple[UUID, str]]]


class _Match(NamedTuple):
    """A rule that an event concerns.

    Attributes:
        changes: the changes that it matches, by the ids of rule and change.
    """

    event: Event[ObservablesChanged]
    rule: Conditions
    changes: dict[tuple[UUID, UUID], Change]


class RuleMatcher:
    """Matches events against all tenants' rules, which it keeps between events."""

    def __init__(self) -> None:
        self._book: RuleBook | None = None

    def handle_changes(self, session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
        """Notify of changed observables; the events are of one tenant.

        A change that a rule has notified of is passed over when it comes again, also in another
        event: a service whose database was restored publishes the same changes anew.
        """
        book = self._current_book(session)
        matches = [match for event in events for match in _matches(book, event)]
        new = repository.remember_changes(
            session,
            [(match.rule.tenant, *key) for match in matches for key in match.changes],
        )
        deliveries = [row for match in matches for row in _deliveries_of(book, match, new)]
        add_deliveries(session, deliveries)

    def handle_health(self, session: Session, events: Sequence[Event[HealthChanged]]) -> None:
        """Notify of feeds whose health improved or degraded; the events are of one tenant."""
        book = self._current_book(session)
        deliveries = [row for event in events for row in _deliveries_of_health(book, event)]
        add_deliveries(session, deliveries)

    def _current_book(self, session: Session) -> RuleBook:
        # The version is read before the rules: rules that change in between are read again with
        # the next event, and never missed.
        version = repository.rules_version(session)
        if self._book is None or self._book.version != version:
            self._book = _read_book(session, version)
        return self._book


def _read_book(session: Session, version: tuple[str, int]) -> RuleBook:
    names = enabled_channel_names(session)
    rules = repository.enabled_rules(session)
    channels: dict[UUID, list[tuple[UUID, str]]] = {}
    for rule in rules:
        channels[rule.id] = [(id_, names[id_]) for id_ in rule.channel_ids if id_ in names]
    conditions = (_conditions(rule) for rule in rules if channels[rule.id])
    return RuleBook(version, RuleSet(conditions), channels)


def _conditions(rule: Rule) -> Conditions:
    return Conditions(
        rule_id=rule.id,
        tenant=rule.tenant,
        rule=rule.name,
        on=frozenset(cast("list[Occasion]", rule.on)),
        types=frozenset(rule.types),
        min_score=rule.min_score,
        sources=frozenset(rule.sources),
        tags=frozenset(rule.tags),
        filter=rule.filter,
    )


def _matches(book: RuleBook, event: Event[ObservablesChanged]) -> Iterator[_Match]:
    for rule, changes in book.rules.match(event.tenant, event.data.source, event.data.changes):
        keyed = {(rule.rule_id, change_id(event, change)): change for change in changes}
        yield _Match(event, rule, keyed)


def _deliveries_of(
    book: RuleBook, match: _Match, new: set[tuple[UUID, UUID]]
) -> Iterator[NewDelivery]:
    """The deliveries of a match, without the changes that are not new."""
    changes = [change for key, change in match.changes.items() if key in new]
    if not changes:
        return
    # Of a change that comes in two events at once the first notifies.
    new -= match.changes.keys()
    highest_first = sorted(changes, key=attrgetter("score"), reverse=True)
    yield from _deliveries(book, match.rule, match.event, match.event.data.source, highest_first)


def _deliveries_of_health(book: RuleBook, event: Event[HealthChanged]) -> Iterator[NewDelivery]:
    health = event.data
    match = {
        "kind": "health",
        "feed": health.feed.name,
        "state": health.state,
        "before": health.before,
        **health.evidence,
    }
    for rule in book.rules.watching_health(event.tenant, health.feed.name):
        yield from _deliveries(book, rule, event, health.feed.name, [match])


def _deliveries(
    book: RuleBook, rule: Conditions, event: Event[Any], source: str, matches: Sequence[Any]
) -> Iterator[NewDelivery]:
    """A delivery for each channel of a rule."""
    encoded = msgspec.json.encode(matches).decode()
    event_at = _published_at(event)
    for channel_id, channel in book.channels[rule.rule_id]:
        yield {
            "id": delivery_id(rule.rule_id, channel_id, event.id, event_at),
            "tenant": rule.tenant,
            "rule_id": rule.rule_id,
            "channel_id": channel_id,
            "rule": rule.rule,
            "channel": channel,
            "event_id": event.id,
            "source": source,
            "matches": encoded,
            "match_count": len(matches),
            "event_at": event_at,
        }


def _published_at(event: Event[Any]) -> datetime:
    """When the event was published; an event without a valid time still notifies."""
    try:
        return parse_timestamp(event.time)
    except ValueError:
        return datetime.now(UTC)
