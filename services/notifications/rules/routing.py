"""Where the matches of a rule go: held by a silence, to a digest, to a group, or out by themselves.

These are plain functions; events as they happen and dry runs go the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec

from services.notifications.deliveries.disclosure import MARKING_LABEL
from services.notifications.deliveries.service import NewDelivery, delivery_id
from services.notifications.fields import (
    TOPIC_FIELDS,
    event_change,
    is_readable,
    label_key,
    label_values,
)
from services.notifications.groups.engine import (
    DIGEST_KEY,
    GroupingRule,
    Holding,
    MatchSet,
)
from services.notifications.groups.service import SILENCE_GRACE
from services.notifications.inhibitions.activity import (
    Firings,
    PlannedInhibition,
    split_inhibited,
)
from services.notifications.rules.matching import ChangeEnvironment, Conditions, RuleSet
from services.notifications.silences.activity import (
    MatchEnvironment,
    PlannedSilence,
    split_silenced,
)
from services.notifications.topics import DELIVERIES, EventTopic
from shared.database import PUBLIC
from shared.events import Event
from shared.events.observables import Change
from shared.filters.filter import FilterExpression
from shared.filters.matcher import Watchlist
from shared.stix.markings import strictest

BY_EVENT: Final = ("event",)
"""What a rule groups by that tells of each event by itself."""
_SUBJECTS: Final = ("observable.value", "observable.id")


TopicRule = tuple[Conditions, FilterExpression]
"""A rule over another topic than observables, with its whole condition."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All enabled rules at one version, with what they stand on.

    Attributes:
        version: see `repository.rules_version`.
        rules: those that notify at least one enabled channel, or a digest.
        grouping: what they say about their messages, by their ids.
        silences: by tenant, those that come included.
        inhibitions: by tenant.
        topic_rules: those over other topics than observables, by the topic.
        firings: when inhibitions hold something; of the events at hand, or of a dry run's past.
        watchlists: those that rules and silences refer to, as `tenant/name`.
        names: of all enabled channels, by their ids.
    """

    version: tuple[str, int]
    rules: RuleSet
    grouping: dict[UUID, GroupingRule]
    silences: Mapping[str, Sequence[PlannedSilence]] = field(default_factory=dict)
    watchlists: Mapping[str, Watchlist] = field(default_factory=dict)
    names: Mapping[UUID, str] = field(default_factory=dict)
    closing: tuple[tuple[str, UUID], ...] = ()
    inhibitions: Mapping[str, Sequence[PlannedInhibition]] = field(default_factory=dict)
    firings: Firings = field(default_factory=dict)
    topic_rules: Mapping[str, Sequence[TopicRule]] = field(default_factory=dict)

    def closed_by_expiry(self, tenant: str) -> list[UUID]:
        """The rules whose groups an observable of a tenant closes when it expires."""
        return [rule for owner, rule in self.closing if tenant in (PUBLIC, owner)]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event, as far as messages name it.

    Attributes:
        at: when it was published.
        now: when it is handled, by the database's clock.
        is_part: whether it is one of the events of a feed run.
    """

    id: str
    source: str
    at: datetime
    now: datetime
    is_part: bool = False


@dataclass(slots=True)
class Routes:
    """Where matches go: to groups, and out by themselves."""

    sets: list[MatchSet] = field(default_factory=list)
    singles: list[NewDelivery] = field(default_factory=list)


def route_changes(
    book: RuleBook,
    rule: Conditions,
    occurrence: Occurrence,
    changes: Sequence[Change],
    routes: Routes,
) -> None:
    """Send the changes that a rule matches on their way."""
    grouping = book.grouping[rule.rule_id]
    highest_first = sorted(changes, key=attrgetter("score"), reverse=True)
    highest_first, quiet = _hold(book, rule, occurrence, highest_first)
    routes.sets += quiet
    if not highest_first:
        return
    if grouping.digest_id is not None:
        routes.sets.append(_set(grouping, occurrence, DIGEST_KEY, {}, None, highest_first))
    elif grouping.group_by == BY_EVENT:
        routes.singles += single_deliveries(grouping, occurrence, highest_first)
    else:
        routes.sets += _grouped(grouping, occurrence, highest_first)


def match_environment(book: RuleBook, rule: Conditions, occurrence: Occurrence) -> MatchEnvironment:
    """What filters over the matches of a rule may ask beside their fields."""
    severity = book.grouping[rule.rule_id].severity
    return MatchEnvironment(occurrence.source, occurrence.now, rule.rule, severity, book.watchlists)


def _hold(
    book: RuleBook,
    rule: Conditions,
    occurrence: Occurrence,
    changes: list[Change],
    paths: frozenset[str] | None = None,
) -> tuple[list[Change], list[MatchSet]]:
    """The changes that nothing holds, and what silences and inhibitions hold of them.

    Args:
        book: all rules, silences and inhibitions.
        rule: that matches the changes.
        occurrence: the event.
        changes: or an event of another topic in the form of a change.
        paths: the fields that this has; what names others holds nothing. None stands for all.
    """
    grouping = book.grouping[rule.rule_id]
    quiet: list[MatchSet] = []
    active = [
        silence
        for silence in book.silences.get(rule.tenant, ())
        if silence.is_active(occurrence.now) and is_readable(silence.expression, paths)
    ]
    environment = match_environment(book, rule, occurrence)
    if active:
        changes, silenced = split_silenced(active, changes, environment)
        for silence, own in silenced:
            holding = Holding(silence.id, silence.ends_at + SILENCE_GRACE, silence.reason)
            quiet.append(_held(grouping, occurrence, holding, own))
    inhibitions = [
        each for each in book.inhibitions.get(rule.tenant, ()) if is_readable(each.target, paths)
    ]
    if inhibitions and book.firings:
        changes, inhibited = split_inhibited(
            inhibitions, book.firings, changes, environment, occurrence.at
        )
        for inhibition, firing, own in inhibited:
            end = firing.ends_at + SILENCE_GRACE
            holding = Holding(firing.id, end, inhibition.name, "inhibition")
            quiet.append(_held(grouping, occurrence, holding, own))
    return changes, quiet


def topic_matches(
    book: RuleBook, topic: EventTopic, event: Event[Any], now: datetime
) -> tuple[dict[str, Any], list[Conditions]]:
    """The fields of an event, and the rules that match it.

    An event about a delivery of a rule over deliveries matches none: it would cause the next one.
    """
    rules = [pair for pair in book.topic_rules.get(topic.name, ()) if _concerns(pair, topic, event)]
    own_ids = {conditions.rule_id for conditions, _ in book.topic_rules.get(DELIVERIES, ())}
    if not rules or (topic.name == DELIVERIES and event.data.rule_id in own_ids):
        return {}, []
    values = topic.values(event)
    environment = ChangeEnvironment(values["source.name"], now, book.watchlists)
    subject = topic.subject(values)
    return values, [rule for rule, condition in rules if condition.matcher(subject, environment)]


def _concerns(rule: TopicRule, topic: EventTopic, event: Event[Any]) -> bool:
    tenant = rule[0].tenant
    return event.tenant == tenant or (topic.is_shared and event.tenant == PUBLIC)


def route_topic_event(
    book: RuleBook,
    rule: Conditions,
    occurrence: Occurrence,
    topic: EventTopic,
    values: Mapping[str, Any],
    routes: Routes,
) -> None:
    """Send the match of an event of another topic than observables on its way."""
    grouping = book.grouping[rule.rule_id]
    match = topic.match(values)
    changes, quiet = _hold(book, rule, occurrence, [event_change(match)], TOPIC_FIELDS)
    routes.sets += [replace(each, matches=[match]) for each in quiet]
    if not changes:
        return
    if grouping.digest_id is not None:
        routes.sets.append(_set(grouping, occurrence, DIGEST_KEY, {}, None, [match]))
    elif grouping.group_by == BY_EVENT:
        routes.singles += single_deliveries(grouping, occurrence, [match])
    else:
        labels = {name: str(values[name]) for name in grouping.group_by}
        routes.sets.append(_set(grouping, occurrence, label_key(labels), labels, None, [match]))


def health_set(grouping: GroupingRule, occurrence: Occurrence, match: dict[str, Any]) -> MatchSet:
    """What belongs to the group about a feed's health."""
    if grouping.digest_id is not None:
        return _set(grouping, occurrence, DIGEST_KEY, {}, None, [match])
    labels = {"source.name": occurrence.source, "change.kind": "health"}
    subject = f"feed {occurrence.source}"
    return _set(grouping, occurrence, label_key(labels), labels, subject, [match])


def _grouped(
    grouping: GroupingRule, occurrence: Occurrence, changes: Sequence[Change]
) -> Iterator[MatchSet]:
    names = grouping.group_by
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        values = label_values(names, change, occurrence.source)
        groups.setdefault(values, []).append(change)
    for values, own in groups.items():
        labels = dict(zip(names, values, strict=True))
        subject = next((labels[name] for name in _SUBJECTS if name in labels), None)
        key = label_key(labels)
        if (marking := strictest(change.tlp for change in own)) != "clear":
            labels[MARKING_LABEL] = str(marking)
        yield _set(grouping, occurrence, key, labels, subject, own)


def _held(
    grouping: GroupingRule,
    occurrence: Occurrence,
    holding: Holding,
    changes: Sequence[Change],
) -> MatchSet:
    return MatchSet(
        rule=grouping,
        key=holding.name,
        labels={},
        subject=None,
        event_id=occurrence.id,
        source=occurrence.source,
        event_at=occurrence.at,
        matches=changes,
        holding=holding,
    )


def _set(
    grouping: GroupingRule,
    occurrence: Occurrence,
    key: str,
    labels: Mapping[str, str],
    subject: str | None,
    matches: Sequence[Any],
) -> MatchSet:
    return MatchSet(
        rule=grouping,
        key=key,
        labels=labels,
        subject=subject,
        event_id=occurrence.id,
        source=occurrence.source,
        event_at=occurrence.at,
        matches=matches,
        is_part=occurrence.is_part,
    )


def single_deliveries(
    grouping: GroupingRule, occurrence: Occurrence, matches: Sequence[Any]
) -> Iterator[NewDelivery]:
    """A delivery of an event by itself for each channel of a rule."""
    encoded = msgspec.json.encode(matches).decode()
    for channel_id, channel in grouping.channels:
        yield {
            "id": delivery_id(grouping.id, channel_id, occurrence.id, occurrence.at),
            "tenant": grouping.tenant,
            "rule_id": grouping.id,
            "channel_id": channel_id,
            "rule": grouping.name,
            "channel": channel,
            "event_id": occurrence.id,
            "source": occurrence.source,
            "matches": encoded,
            "match_count": len(matches),
            "event_at": occurrence.at,
            "group_id": None,
            "window_number": 0,
            "kind": "open",
            "total_count": len(matches),
            "severity": grouping.severity,
            "labels": "{}",
            "reason": None,
            "due_at": None,
            "state": "pending",
            "held_until": None,
            "held_by": None,
            "replay_of": None,
        }
