"""Dry runs: what a rule would have told of the log, with the code that tells. Nothing is sent.

A dry run of a stored rule has the ids of what was sent, so that both can be compared.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channel_types import Notification, channel_types
from services.notifications.channel_types.base import (
    MAX_MATCHES,
    NotificationKind,
    RenderingChannel,
    Severity,
)
from services.notifications.channels.patches import apply_patch
from services.notifications.channels.service import Channel, find_channels
from services.notifications.console_pages import delivery_page
from services.notifications.deliveries.disclosure import restrict
from services.notifications.deliveries.service import NewDelivery
from services.notifications.inhibitions.service import read_board
from services.notifications.rules import repository, service
from services.notifications.rules.books import make_book
from services.notifications.rules.handlers import route_event, route_past_event
from services.notifications.rules.repository import Rule
from services.notifications.rules.routing import Routes, RuleBook
from services.notifications.rules.schemas import (
    DryRunBody,
    DryRunComparison,
    DryRunResult,
    HistogramBar,
    MessagePreview,
    RuleCreate,
    RulePatch,
    SimulatedGroupView,
    StoredDryRunBody,
)
from services.notifications.rules.simulation import MemoryGroupStore, simulate
from services.notifications.silences.service import planned_silences
from services.notifications.templates.rendering import WITHOUT_TEXT, with_text
from services.notifications.templates.service import templates_of
from services.notifications.topics import EVENT_TOPICS, EventTopic
from services.notifications.watchlists.service import WatchlistCache
from shared.auth import Principal
from shared.database import PUBLIC, Database
from shared.errors import SentinelIQError
from shared.events import Event, Topic
from shared.events.observables import CHANGED
from shared.kafka.history import read_since
from shared.settings import Settings

_MOST_SECONDS: Final = 60.0
_MOST_MATCHES: Final = 1_000_000
_MOST_GROUPS: Final = 100
_MOST_MESSAGES: Final = 20


@dataclass(slots=True)
class _Past:
    """What the log brought.

    Attributes:
        is_complete: whether it was read to its end.
    """

    routes: Routes = field(default_factory=Routes)
    changes: int = 0
    matches: int = 0
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class _Trial:
    """A rule that is tried.

    Attributes:
        template: in whose words its messages are; None stands for the channels' own words.
        now: the database's time.
    """

    settings: Settings
    book: RuleBook
    rule: Rule
    channels: Mapping[UUID, Channel]
    template: str | None
    now: datetime


def try_new_rule(
    database: Database, settings: Settings, principal: Principal, body: DryRunBody
) -> DryRunResult:
    """What a rule that is not stored would have told.

    Raises:
        InvalidInput: the rule could not be stored.
        Unavailable: Kafka does not answer.
    """
    with database.transaction(principal.tenant) as session:
        rule = _unstored(session, principal, uuid7(), body.rule)
        stand_ins: dict[UUID, str] = {}
        if not rule.channel_ids:
            stand_ins[uuid7()] = ""
            rule.channel_ids.extend(stand_ins)
        book = _book(session, rule, body.hours, stand_ins)
        channels = find_channels(session, set(rule.channel_ids))
        now = repository.rules_version(session)[1]
    return _run(_Trial(settings, book, rule, channels, None, now), body.hours)


def compare_rule(
    database: Database,
    settings: Settings,
    principal: Principal,
    rule_id: UUID,
    body: StoredDryRunBody,
) -> DryRunComparison:
    """What a stored rule would have told, as it is and with changes.

    Raises:
        NotFound, InvalidInput, Unavailable: see `try_rule`.
    """
    before = try_rule(database, settings, principal, rule_id, body.hours)
    after = None
    if body.changes is not None:
        after = try_rule(database, settings, principal, rule_id, body.hours, body.changes)
    return DryRunComparison(before=before, after=after)


def try_rule(
    database: Database,
    settings: Settings,
    principal: Principal,
    rule_id: UUID,
    hours: int,
    patch: RulePatch | None = None,
) -> DryRunResult:
    """What a stored rule would have told, as it is or with changes.

    Raises:
        NotFound: the tenant has no such rule.
        InvalidInput: the changed rule could not be stored.
        Unavailable: Kafka does not answer.
    """
    with database.transaction(principal.tenant) as session:
        rule = service.stored_rule(session, rule_id)
        if patch is not None:
            body = apply_patch(RuleCreate, rule, patch)
            rule = _unstored(session, principal, rule_id, body)
        book = _book(session, rule, hours)
        channels = find_channels(session, set(rule.channel_ids))
        template = templates_of(session, [rule_id]).get(rule_id)
        now = repository.rules_version(session)[1]
    return _run(_Trial(settings, book, rule, channels, template, now), hours)


def _unstored(session: Session, principal: Principal, rule_id: UUID, body: RuleCreate) -> Rule:
    values = service.checked_values(session, body)
    now = datetime.now(UTC)
    return Rule(id=rule_id, tenant=principal.tenant, created_at=now, updated_at=now, **values)


def _book(
    session: Session, rule: Rule, hours: int, unstored: Mapping[UUID, str] | None = None
) -> RuleBook:
    past = timedelta(hours=hours)
    silences = planned_silences(session, past)
    book = make_book(session, ("", 0), [rule], silences, WatchlistCache(), unstored)
    board = read_board(session, book.inhibitions.get(rule.tenant, ()), past)
    return replace(book, firings=board.firings)


def _run(trial: _Trial, hours: int) -> DryRunResult:
    since = trial.now - timedelta(hours=hours)
    past = asyncio.run(_read(trial.settings, trial.book, trial.rule, since))
    store = simulate(past.routes.sets, trial.now)
    singles = {each["id"]: each for each in past.routes.singles}
    deliveries = sorted((store.deliveries | singles).values(), key=_event_at)
    return DryRunResult(
        changes=past.changes,
        match_count=past.matches,
        message_count=len(deliveries),
        is_complete=past.is_complete,
        histogram=_histogram(deliveries),
        groups=_groups(store),
        group_count=len(store.groups),
        messages=[_preview(each, trial) for each in deliveries[:_MOST_MESSAGES]],
        message_ids=[each["id"] for each in deliveries[:1000]],
    )


def _event_at(delivery: NewDelivery) -> tuple[datetime, UUID]:
    return delivery["event_at"], delivery["id"]


async def _read(settings: Settings, book: RuleBook, rule: Rule, since: datetime) -> _Past:
    past = _Past()
    repeated: set[UUID] = set()
    end = time.monotonic() + _MOST_SECONDS
    topic = EVENT_TOPICS.get(rule.topic)
    log: Topic[Any] = topic.topic if topic else CHANGED
    events: AsyncIterator[Event[Any]] = read_since(settings, log, since)
    async for event in events:
        if event.tenant in (PUBLIC, rule.tenant):
            _match(past, book, event, repeated, topic)
        if time.monotonic() > end or past.matches > _MOST_MATCHES:
            past.is_complete = False
            break
    return past


def _match(
    past: _Past,
    book: RuleBook,
    event: Event[Any],
    repeated: set[UUID],
    topic: EventTopic | None,
) -> None:
    if topic is not None:
        past.changes += 1
        past.matches += route_past_event(book, topic, event, repeated, past.routes)
        return
    past.changes += len(event.data.changes)
    past.matches += route_event(book, event, repeated, past.routes)


def _histogram(deliveries: Iterable[NewDelivery]) -> list[HistogramBar]:
    matches: Counter[datetime] = Counter()
    messages: Counter[datetime] = Counter()
    for each in deliveries:
        hour = each["event_at"].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        matches[hour] += each["match_count"]
        messages[hour] += 1
    return [
        HistogramBar(at=hour, matches=matches[hour], messages=messages[hour])
        for hour in sorted(messages)
    ]


def _groups(store: MemoryGroupStore) -> list[SimulatedGroupView]:
    largest = sorted(store.groups, key=lambda each: each.match_count, reverse=True)
    return [
        SimulatedGroupView(
            id=each.group.id,
            labels=each.group.labels,
            match_count=each.match_count,
            messages=each.messages,
            opened_at=each.group.opened_at,
            closed_at=each.closed_at,
            close_reason=each.close_reason,
        )
        for each in largest[:_MOST_GROUPS]
    ]


def _preview(delivery: NewDelivery, trial: _Trial) -> MessagePreview:
    matches: list[dict[str, Any]] = msgspec.json.decode(delivery["matches"])
    channel = trial.channels.get(delivery["channel_id"])
    return MessagePreview(
        id=delivery["id"],
        kind=delivery["kind"],
        channel=delivery["channel"],
        event_at=delivery["event_at"],
        match_count=delivery["match_count"],
        total_count=delivery["total_count"] or delivery["match_count"],
        documents=_documents(delivery, matches, channel, trial) if channel else [],
    )


def _documents(
    delivery: NewDelivery,
    matches: list[dict[str, Any]],
    channel: Channel,
    trial: _Trial,
) -> list[str]:
    """The documents that the channel would send, if its kind can show them.

    As when a message is sent, the channel's own words stand in for a template that fails.
    """
    kind: object = channel_types().get(channel.kind)
    if not isinstance(kind, RenderingChannel):
        return []
    notification = Notification(
        id=delivery["id"],
        tenant=delivery["tenant"],
        rule_id=delivery["rule_id"],
        rule=delivery["rule"],
        source=delivery["source"],
        match_count=delivery["match_count"],
        matches=matches[:MAX_MATCHES],
        created_at=delivery["event_at"],
        url=delivery_page(trial.settings, delivery["id"]),
        kind=cast("NotificationKind", delivery["kind"]),
        group_id=delivery["group_id"],
        total_count=delivery["total_count"] or delivery["match_count"],
        severity=cast("Severity", delivery["severity"]),
        labels=msgspec.json.decode(delivery["labels"]),
        reason=delivery["reason"],
    )
    config = channel_types()[channel.kind].config.model_validate(channel.config)
    message = restrict(notification, channel_types()[channel.kind], channel.max_tlp)
    if trial.template is not None and channel.kind not in WITHOUT_TEXT:
        with suppress(SentinelIQError):
            message = with_text(message, trial.template)
    return [part.decode("utf-8", "replace") for part in kind.render(message, config).parts]
