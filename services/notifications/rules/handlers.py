"""Handlers of events: find the rules that an event concerns, and what becomes of its matches.

They run in the consumer's transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.deliveries.service import add_deliveries
from services.notifications.fields import TOPIC_FIELDS, event_change, is_readable
from services.notifications.groups.engine import MatchSet, add_matches
from services.notifications.groups.service import close_subjects
from services.notifications.groups.storage import SqlGroupStore
from services.notifications.inhibitions.activity import firing_labels
from services.notifications.inhibitions.service import read_board, store_firings
from services.notifications.rules import repository
from services.notifications.rules.books import read_book
from services.notifications.rules.matching import Conditions
from services.notifications.rules.routing import (
    BY_EVENT,
    Occurrence,
    Routes,
    RuleBook,
    health_set,
    match_environment,
    route_changes,
    route_topic_event,
    single_deliveries,
    topic_matches,
)
from services.notifications.topics import EventTopic
from services.notifications.watchlists.service import WatchlistCache
from shared.events import Event, derived_id
from shared.events.feeds import HEALTH, HealthChanged
from shared.events.observables import Change, ObservablesChanged, change_id
from shared.timestamps import parse_timestamp

_MAX_AHEAD: Final = timedelta(minutes=1)
"""How far the clock of an event's producer may be ahead of the database's."""


class RuleMatcher:
    """Matches events against all tenants' rules, which it keeps between events."""

    def __init__(self) -> None:
        self._book: RuleBook | None = None
        self._watchlists = WatchlistCache()

    def handle_changes(self, session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
        """Notify of changed observables; the events are of one tenant.

        A change that a rule has notified of is passed over when it comes again, also in another
        event: a service whose database was restored publishes the same changes anew.
        """
        book, now = self._current_book(session)
        matches = [match for event in events for match in _matches(book, event)]
        new = repository.remember_changes(
            session,
            [(rule.tenant, *key) for _, rule, changes in matches for key in changes],
        )
        news: list[_News] = []
        for event, rule, changes in matches:
            fresh = [change for key, change in changes.items() if key in new]
            # Of a change that comes in two events at once the first notifies.
            new -= changes.keys()
            if fresh:
                occurrence = _change_occurrence(event, _published_at(event, now), now)
                news.append((rule, occurrence, fresh))
        book = _fire_inhibitions(session, book, news)
        routes = Routes()
        for rule, occurrence, fresh in news:
            route_changes(book, rule, occurrence, fresh, routes)
        add_deliveries(session, routes.singles)
        add_matches(SqlGroupStore(session, book.names), routes.sets)
        _close_expired(session, book, events)

    def handle_health(self, session: Session, events: Sequence[Event[HealthChanged]]) -> None:
        """Notify of feeds whose health improved or degraded; the events are of one tenant."""
        book, now = self._current_book(session)
        for event in events:
            for rule in book.rules.watching_health(event.tenant, event.data.feed.name):
                _notify_of_health(session, book, rule, event, now)

    def topic_handler(self, topic: EventTopic) -> Callable[[Session, Sequence[Event[Any]]], None]:
        """The handler of the events of a topic, which are of one tenant."""

        def handle(session: Session, events: Sequence[Event[Any]]) -> None:
            book, now = self._current_book(session)
            if book.topic_rules.get(topic.name):
                _notify_of_events(session, book, topic, events, now)

        return handle

    def _current_book(self, session: Session) -> tuple[RuleBook, datetime]:
        # The version is read before the rules: rules that change in between are read again with
        # the next event, and never missed.
        version, now = repository.rules_version(session)
        if self._book is None or self._book.version != version:
            self._book = read_book(session, version, self._watchlists)
        return self._book, now


_News = tuple[Conditions, Occurrence, list[Change]]
"""What a rule has to tell of an event."""


def _fire_inhibitions(
    session: Session,
    book: RuleBook,
    news: Sequence[_News],
    paths: frozenset[str] | None = None,
) -> RuleBook:
    """The book with the times in which inhibitions hold something, by what fires them now.

    Args:
        session: the transaction.
        book: all rules and inhibitions.
        news: what there is to tell.
        paths: the fields that this has; what names others is not fired. None stands for all.
    """
    tenants = {rule.tenant for rule, _, _ in news} & book.inhibitions.keys()
    inhibitions = [each for tenant in tenants for each in book.inhibitions[tenant]]
    if not inhibitions:
        return book
    shots = [
        (inhibition, fresh, match_environment(book, rule, occurrence), occurrence.at)
        for rule, occurrence, fresh in news
        for inhibition in book.inhibitions.get(rule.tenant, ())
        if is_readable(inhibition.source, paths)
    ]
    fires = any(firing_labels(*shot[:3]) for shot in shots)
    first = min(occurrence.at - occurrence.now for _, occurrence, _ in news)
    board = read_board(session, inhibitions, max(-first, timedelta(0)), lock=fires)
    for shot in shots if fires else ():
        board.fire(*shot)
    store_firings(session, board)
    return replace(book, firings=board.firings)


_Match = tuple[Event[ObservablesChanged], Conditions, dict[tuple[UUID, UUID], Change]]
"""A rule that an event concerns, with the changes that it matches by the ids of rule and change."""


def _matches(book: RuleBook, event: Event[ObservablesChanged]) -> list[_Match]:
    if event.data.is_amendment:
        return []
    source = event.data.source
    matches: list[_Match] = []
    for rule, changes in book.rules.match(
        event.tenant, source, event.data.changes, book.watchlists
    ):
        keyed = {(rule.rule_id, change_id(event, change)): change for change in changes}
        matches.append((event, rule, keyed))
    return matches


def route_event(
    book: RuleBook, event: Event[ObservablesChanged], repeated: set[UUID], routes: Routes
) -> int:
    """Send the matches of a past event on their way, as if it were handled when it was published.

    Args:
        book: of one rule.
        event: of any time.
        repeated: ids of changes that were notified of; those of the event are added.
        routes: where they go.

    Returns:
        The number of matches.
    """
    count = 0
    for _, rule, changes in _matches(book, event):
        fresh = [change for (_, id_), change in changes.items() if id_ not in repeated]
        repeated |= {id_ for _, id_ in changes}
        if fresh:
            at = _published_at(event, datetime.now(UTC))
            occurrence = _change_occurrence(event, at, at)
            route_changes(book, rule, occurrence, fresh, routes)
            count += len(fresh)
    return count


def _notify_of_events(
    session: Session,
    book: RuleBook,
    topic: EventTopic,
    events: Sequence[Event[Any]],
    now: datetime,
) -> None:
    """Notify of events of a topic, of each once, however often it comes."""
    routes = Routes()
    for event in events:
        values, rules = topic_matches(book, topic, event, now)
        key = _event_key(topic, event)
        new = repository.remember_changes(
            session, [(rule.tenant, rule.rule_id, key) for rule in rules]
        )
        fresh = [rule for rule in rules if (rule.rule_id, key) in new]
        if not fresh:
            continue
        occurrence = _occurrence(event, values["source.name"], now)
        change = event_change(topic.match(values))
        news = [(rule, occurrence, [change]) for rule in fresh]
        fired = _fire_inhibitions(session, book, news, TOPIC_FIELDS)
        for rule in fresh:
            route_topic_event(fired, rule, occurrence, topic, values, routes)
    add_deliveries(session, routes.singles)
    add_matches(SqlGroupStore(session, book.names), routes.sets)


def _event_key(topic: EventTopic, event: Event[Any]) -> UUID:
    return UUID(derived_id(topic.topic.name, event.id))


def route_past_event(
    book: RuleBook, topic: EventTopic, event: Event[Any], repeated: set[UUID], routes: Routes
) -> int:
    """As `route_event`, for an event of another topic than observables."""
    at = _published_at(event, datetime.now(UTC))
    values, rules = topic_matches(book, topic, event, at)
    key = _event_key(topic, event)
    if not rules or key in repeated:
        return 0
    repeated.add(key)
    occurrence = Occurrence(event.id, values["source.name"], at, at)
    for rule in rules:
        route_topic_event(book, rule, occurrence, topic, values, routes)
    return len(rules)


def _close_expired(
    session: Session, book: RuleBook, events: Sequence[Event[ObservablesChanged]]
) -> None:
    """Close the groups about observables that expire."""
    for event in events:
        rules = book.closed_by_expiry(event.tenant)
        expired = [each for each in event.data.changes if each.kind == "expired"] if rules else []
        if expired:
            subjects = {each.value for each in expired} | {each.id for each in expired}
            close_subjects(session, rules, subjects, "the observable has expired")


def _notify_of_health(
    session: Session, book: RuleBook, rule: Conditions, event: Event[HealthChanged], now: datetime
) -> None:
    health = event.data
    grouping = book.grouping[rule.rule_id]
    occurrence = _occurrence(event, health.feed.name, now)
    match = {
        "kind": "health",
        "feed": health.feed.name,
        "state": health.state,
        "before": health.before,
        **health.evidence,
    }
    if health.state != "healthy":
        subject = Change(str(health.feed.id), "feed", health.feed.name, cast("Any", "health"), 0)
        _fire_inhibitions(session, book, [(rule, occurrence, [subject])])
    if grouping.digest_id is None and grouping.group_by == BY_EVENT:
        add_deliveries(session, list(single_deliveries(grouping, occurrence, [match])))
        return
    key = (rule.tenant, rule.rule_id, UUID(derived_id(HEALTH.name, event.id)))
    if not repository.remember_changes(session, [key]):
        return
    matches = health_set(grouping, occurrence, match)
    if health.state == "healthy" and grouping.digest_id is None:
        _close_health(session, book, matches)
    else:
        add_matches(SqlGroupStore(session, book.names), [matches])


def _close_health(session: Session, book: RuleBook, matches: MatchSet) -> None:
    """Tell that a feed is healthy again, as the end of what was told about it."""
    store = SqlGroupStore(session, book.names)
    group = store.open_groups(matches.rule.id, [matches.key]).get(matches.key)
    if group is None or matches.subject is None:
        occurrence = Occurrence(
            matches.event_id, matches.source, matches.event_at, matches.event_at
        )
        singles = single_deliveries(matches.rule, occurrence, matches.matches)
        add_deliveries(session, list(singles))
        return
    store.insert_batch(group, matches, None)
    close_subjects(session, [matches.rule.id], [matches.subject], "the feed is healthy")


def _change_occurrence(event: Event[ObservablesChanged], at: datetime, now: datetime) -> Occurrence:
    is_part = event.data.run_id is not None
    return Occurrence(event.id, event.data.source, at, now, is_part)


def _occurrence(event: Event[Any], source: str, now: datetime) -> Occurrence:
    return Occurrence(event.id, source, _published_at(event, now), now)


def _published_at(event: Event[Any], now: datetime) -> datetime:
    """When the event was published; an event without a sensible time still notifies."""
    try:
        moment = parse_timestamp(event.time)
    except ValueError:
        return datetime.now(UTC)
    return moment if moment <= now + _MAX_AHEAD else now
