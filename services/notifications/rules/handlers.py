"""From changed observables to deliveries: applied in the consumer's transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.notifications.deliveries import repository
from services.notifications.deliveries.models import Rule, new_id
from services.notifications.deliveries.wakeup import wake_after_commit
from services.notifications.rules.matching import Conditions, Occasion, RuleSet
from shared.events import Event
from shared.events.feeds import HealthChanged
from shared.events.observables import Change, ObservablesChanged
from shared.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules as they were at one version, and the channels each of them notifies."""

    version: tuple[str, int]
    rules: RuleSet
    channels: dict[UUID, list[tuple[UUID, str]]]


class Alerter:
    """Writes a delivery for every rule and channel that a change concerns; keeps the rules between events."""

    def __init__(self) -> None:
        self._book: RuleBook | None = None

    def handle(self, session: Session, events: Sequence[Event[ObservablesChanged]]) -> None:
        """Match events of one tenant against the rules that may see them."""
        book = self._current(session)
        rows = [row for event in events for row in _deliveries(book, event)]
        if rows:
            repository.add_deliveries(session, rows)
            wake_after_commit(session)

    def handle_health(self, session: Session, events: Sequence[Event[HealthChanged]]) -> None:
        """Tell whoever asked for it that feeds of one tenant are doing better or worse."""
        book = self._current(session)
        rows = [row for event in events for row in _news(book, event)]
        if rows:
            repository.add_deliveries(session, rows)
            wake_after_commit(session)

    def _current(self, session: Session) -> RuleBook:
        # The version is read first: rules that change in between are read again next time, never missed.
        version = repository.rules_version(session)
        if self._book is None or self._book.version != version:
            self._book = _read(session, version)
        return self._book


def _read(session: Session, version: tuple[str, int]) -> RuleBook:
    enabled = repository.enabled_channels(session)
    rules = repository.enabled_rules(session)
    channels = {
        rule.id: [(id_, enabled[id_]) for id_ in rule.channel_ids if id_ in enabled]
        for rule in rules
    }
    return RuleBook(
        version, RuleSet(_conditions(rule) for rule in rules if channels[rule.id]), channels
    )


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
    )


def _deliveries(book: RuleBook, event: Event[ObservablesChanged]) -> Iterator[dict[str, Any]]:
    for rule, found in book.rules.match(event.tenant, event.data.source, event.data.changes):
        yield from _told(
            book, rule, event, event.data.source, sorted(found, key=_score, reverse=True)
        )


def _news(book: RuleBook, event: Event[HealthChanged]) -> Iterator[dict[str, Any]]:
    said = event.data
    match = {
        "kind": "health",
        "feed": said.feed.name,
        "state": said.state,
        "before": said.before,
        **said.evidence,
    }
    for rule in book.rules.watching(event.tenant, said.feed.name):
        yield from _told(book, rule, event, said.feed.name, [match])


def _told(
    book: RuleBook, rule: Conditions, event: Event[Any], source: str, matches: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    """A delivery for each channel of a rule."""
    encoded = msgspec.json.encode(matches).decode()
    for channel_id, channel in book.channels[rule.rule_id]:
        yield {
            "id": new_id(),
            "tenant": rule.tenant,
            "rule_id": rule.rule_id,
            "channel_id": channel_id,
            "rule": rule.rule,
            "channel": channel,
            "event_id": event.id,
            "source": source,
            "matches": encoded,
            "match_count": len(matches),
            "event_at": _moment(event.time),
        }


def _score(change: Change) -> int:
    return change.score


def _moment(time: str) -> datetime:
    """When the event was published; a missing time must not cost the alert."""
    try:
        return parse_timestamp(time)
    except ValueError:
        return datetime.now(UTC)
