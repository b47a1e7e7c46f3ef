"""What becomes of matches: which group they belong to, and which messages tell of them.

The engine knows neither a database nor a clock. It writes to a `GroupStore`: rows for events as
they happen, a list in memory for a dry run, so that both decide the same.

A group opens at once with the event that matched first, as one message to each channel. If that
event is a part of a feed's run, the group gathers for `GATHERING` before: the parts of a run follow
each other, and one message tells of them. What belongs to the group then waits for the end of its
window, `update_seconds` later, and becomes one message with its number. A window in which nothing
has matched closes a group silently, unless the group is about one observable or feed: it then waits
for the opposite, and is closed aloud. Windows are those of the events' own times, so that a message
says the same however late it is written.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from services.notifications.deliveries.identity import delivery_id
from services.notifications.deliveries.service import NewDelivery

OVERFLOW_KEY: Final = "*"
"""The group of what would open more groups of a rule than it may have at a time."""
DIGEST_KEY: Final = "digest"
_NO_CHANNEL: Final = UUID(int=0)
MAX_STORED: Final = 1000
"""Matches in the row of a group's delivery; the group has all of them."""
GATHERING: Final = timedelta(seconds=1)
"""How long the message that opens a group waits for the other events of a feed's run."""
_NOT_TOLD: Final = -1
"""The number of a group's last message while it gathers: there is none."""
MAX_IDLE: Final = timedelta(days=7)
"""How long a group waits for the opposite of what opened it."""


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """The next recipients of a group that nobody has acknowledged.

    Attributes:
        after_seconds: after the step before, or after the opening.
    """

    after_seconds: int
    channels: tuple[tuple[UUID, str], ...]


@dataclass(frozen=True, slots=True)
class GroupingRule:
    """What a rule says about its messages.

    Attributes:
        channels: ids and names.
        group_by: fields whose values make a group; none makes one group of all.
        update_seconds: from one message of a group to the next.
        max_groups: most groups that are open at a time.
        digest_id: the digest that its matches wait for, if there is one.
    """

    id: UUID
    tenant: str
    name: str
    channels: tuple[tuple[UUID, str], ...]
    group_by: tuple[str, ...] = ()
    severity: str = "medium"
    update_seconds: int = 300
    max_groups: int = 20
    digest_id: UUID | None = None
    escalation: tuple[EscalationStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds matches until it ends: a silence, or the firing of an inhibition.

    Attributes:
        reason: of the silence; the name of the inhibition.
        kind: silence or inhibition.
    """

    id: UUID
    ends_at: datetime
    reason: str
    kind: str = "silence"

    @property
    def name(self) -> str:
        """The key of the group of what it holds, and its name in deliveries."""
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class MatchSet:
    """Matches of one rule in one event that belong together.

    Attributes:
        key: of the group.
        labels: what the group has in common, by field.
        subject: the observable or feed that the group is about, if it is about one.
        matches: highest scores first.
        holding: what holds them.
        is_part: whether other events of the same feed run may follow.
    """

    rule: GroupingRule
    key: str
    labels: Mapping[str, str]
    subject: str | None
    event_id: str
    source: str
    event_at: datetime
    matches: Sequence[Any]
    holding: Holding | None = None
    is_part: bool = False

    @property
    def is_told(self) -> bool:
        """Whether messages of its rule's own tell of it, and not a summary or a digest."""
        return self.holding is None and self.rule.digest_id is None

    @property
    def is_gathered(self) -> bool:
        """Whether the group that it opens waits for more before it tells."""
        return self.is_part and self.is_told


@dataclass(slots=True)
class OpenGroup:
    """A group that takes matches.

    Attributes:
        window_number: of its last message; -1 while it gathers.
        window_ends_at: when what waits is told.
        match_count: told so far.
        closing_reason: why it closes with the end of its window.
    """

    id: UUID
    tenant: str
    rule_id: UUID
    rule: str
    key: str
    labels: dict[str, str]
    subject: str | None
    severity: str
    channels: tuple[tuple[UUID, str], ...]
    update_seconds: int
    silence_id: UUID | None
    digest_id: UUID | None
    opened_at: datetime
    window_ends_at: datetime
    window_number: int = 0
    match_count: int = 0
    last_match_at: datetime | None = None
    closing_reason: str | None = None
    escalation: tuple[EscalationStep, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """Matches that wait for the end of a window."""

    source: str
    event_at: datetime
    match_count: int
    matches: Sequence[Any]


class GroupStore(Protocol):
    """Where groups are kept."""

    def open_groups(self, rule_id: UUID, keys: Collection[str]) -> dict[str, OpenGroup]:
        """The open groups of a rule by their keys; they stay open until the transaction ends."""

    def reserve_openings(self, rule_id: UUID) -> int:
        """Keep others from opening groups of a rule; the number of those that are open."""

    def insert_group(self, group: OpenGroup) -> None:
        """Store a new group."""

    def insert_batch(self, group: OpenGroup, matches: MatchSet, window_number: int | None) -> None:
        """Store matches; without a number they wait for the end of the group's window."""

    def insert_deliveries(self, deliveries: Sequence[NewDelivery]) -> None:
        """Store messages."""


def add_matches(store: GroupStore, sets: Iterable[MatchSet]) -> None:
    """Open groups for matches, or let them wait for the next message of theirs."""
    by_rule: dict[UUID, list[MatchSet]] = {}
    for each in sets:
        by_rule.setdefault(each.rule.id, []).append(each)
    # One order for all: two transactions that need each other's rows would block.
    for rule_id in sorted(by_rule):
        _add_of_rule(store, rule_id, sorted(by_rule[rule_id], key=_moment))


def _moment(matches: MatchSet) -> tuple[datetime, str, str]:
    return matches.event_at, matches.event_id, matches.key


def _add_of_rule(store: GroupStore, rule_id: UUID, sets: Sequence[MatchSet]) -> None:
    keys = {each.key for each in sets}
    # Groups first, then the right to open others, as where a window ends: no two block each other.
    groups = store.open_groups(rule_id, keys | {OVERFLOW_KEY})
    open_count = 0
    if missing := keys - groups.keys():
        open_count = store.reserve_openings(rule_id)
        groups |= store.open_groups(rule_id, missing | {OVERFLOW_KEY})
    for _, of_event in groupby(sets, key=attrgetter("event_id")):
        overflowing: list[MatchSet] = []
        for each in of_event:
            if each.is_told and open_count >= each.rule.max_groups and each.key not in groups:
                overflowing.append(each)
            else:
                open_count += _place(store, groups, each)
        if overflowing:
            open_count += _place(store, groups, _joined(overflowing))


def _place(store: GroupStore, groups: dict[str, OpenGroup], matches: MatchSet) -> int:
    """Add matches to their group, or open it; the number of groups that this opens."""
    if group := groups.get(matches.key):
        store.insert_batch(group, matches, None)
        return 0
    groups[matches.key] = _open(store, matches)
    return 1


def _joined(sets: Sequence[MatchSet]) -> MatchSet:
    """What of an event would open too many groups: one batch, however many values it has."""
    matches = [match for each in sets for match in each.matches]
    matches.sort(key=_score, reverse=True)
    return replace(sets[0], key=OVERFLOW_KEY, labels={}, subject=None, matches=matches)


def _open(store: GroupStore, matches: MatchSet) -> OpenGroup:
    group = _new_group(matches)
    store.insert_group(group)
    is_told = matches.is_told and not matches.is_gathered
    store.insert_batch(group, matches, 0 if is_told else None)
    if group.digest_id is None and not matches.is_gathered:
        store.insert_deliveries(_opening(group, matches))
    return group


def _new_group(matches: MatchSet) -> OpenGroup:
    rule = matches.rule
    holding = matches.holding
    wait = GATHERING if matches.is_gathered else timedelta(seconds=rule.update_seconds)
    is_told = matches.is_told and not matches.is_gathered
    return OpenGroup(
        id=delivery_id(rule.id, _NO_CHANNEL, f"{matches.key} {matches.event_id}", matches.event_at),
        tenant=rule.tenant,
        rule_id=rule.id,
        rule=rule.name,
        key=matches.key,
        labels=dict(matches.labels),
        subject=matches.subject,
        severity=rule.severity,
        channels=rule.channels,
        update_seconds=rule.update_seconds,
        silence_id=holding.id if holding else None,
        digest_id=None if holding else rule.digest_id,
        opened_at=matches.event_at,
        window_ends_at=holding.ends_at if holding else matches.event_at + wait,
        window_number=_NOT_TOLD if matches.is_gathered else 0,
        match_count=len(matches.matches) if is_told else 0,
        last_match_at=matches.event_at,
        escalation=rule.escalation if matches.is_told else (),
    )


def _opening(group: OpenGroup, matches: MatchSet) -> list[NewDelivery]:
    if matches.holding is None:
        batch = WaitingBatch(
            matches.source, matches.event_at, len(matches.matches), matches.matches
        )
        return messages(group, "open", 0, [batch], matches.event_at)
    summaries = messages(group, "summary", 0, [], matches.event_at, _held_reason(matches.holding))
    for delivery in summaries:
        delivery["state"] = "held"
        delivery["held_until"] = matches.holding.ends_at
        delivery["held_by"] = matches.holding.name
    return summaries


def _held_reason(holding: Holding) -> str:
    article = "an" if holding.kind == "inhibition" else "a"
    return f"held by {article} {holding.kind}: {holding.reason}"


@dataclass(frozen=True, slots=True)
class WindowEnd:
    """What the end of a window brings.

    Attributes:
        window_number: of the group's last message now.
        window_ends_at: the end of its next window.
        match_count: told so far.
        deliveries: messages to write.
        close_reason: why the group is closed now; None if it stays open.
        is_told: whether what waited is in a message, or will be in none.
    """

    window_number: int
    window_ends_at: datetime
    match_count: int
    deliveries: list[NewDelivery]
    close_reason: str | None
    is_told: bool


def end_window(group: OpenGroup, waiting: Sequence[WaitingBatch], now: datetime) -> WindowEnd:
    """Decide what becomes of a group whose window has ended.

    Args:
        group: as it stands.
        waiting: matches from before the end of the window that no message tells of.
        now: the moment at which this is decided.
    """
    count = sum(batch.match_count for batch in waiting)
    number = group.window_number
    deliveries: list[NewDelivery] = []
    reason = group.closing_reason
    if group.silence_id is not None:
        reason = reason or f"the {group.key.partition(' ')[0]} has ended"
        deliveries = messages(group, "summary", 0, waiting, group.opened_at, reason)
    elif number == _NOT_TOLD:
        number, deliveries = _end_gathering(group, waiting, reason)
    elif reason is not None or waiting:
        number += 1
        kind = "close" if reason else "update"
        deliveries = messages(group, kind, number, waiting, group.window_ends_at, reason)
    elif _is_idle(group, now):
        reason = "idle"
    return WindowEnd(
        window_number=number,
        window_ends_at=next_window_end(group, now),
        match_count=group.match_count + count,
        deliveries=deliveries,
        close_reason=reason,
        is_told=bool(waiting),
    )


def _end_gathering(
    group: OpenGroup, waiting: Sequence[WaitingBatch], reason: str | None
) -> tuple[int, list[NewDelivery]]:
    """The message that opens a group which has gathered, and the one that closes it at once."""
    opening = messages(group, "open", 0, waiting, group.opened_at) if waiting else []
    if reason is None:
        return 0, opening
    opened = replace(group, match_count=sum(batch.match_count for batch in waiting))
    return 1, opening + messages(opened, "close", 1, [], group.window_ends_at, reason)


def _is_idle(group: OpenGroup, now: datetime) -> bool:
    if group.subject is None:
        return True
    return now - (group.last_match_at or group.opened_at) > MAX_IDLE


def next_window_end(group: OpenGroup, now: datetime) -> datetime:
    """The end of the window that a moment lies in: windows follow each other from the opening."""
    update = timedelta(seconds=group.update_seconds)
    return group.opened_at + ((now - group.opened_at) // update + 1) * update


def messages(
    group: OpenGroup,
    kind: str,
    number: int,
    batches: Sequence[WaitingBatch],
    event_at: datetime,
    reason: str | None = None,
    name: str | None = None,
) -> list[NewDelivery]:
    """A message of a group to each of its channels.

    Args:
        group: as it stood before.
        kind: see `NotificationKind`.
        number: which of the group's messages it is.
        batches: what it tells.
        event_at: the time that it is about.
        reason: why a group is closed, or was held.
        name: what it is called in the group, if not by its number.
    """
    count = sum(batch.match_count for batch in batches)
    encoded = msgspec.json.encode(highest_first(batches)).decode()
    labels = msgspec.json.encode(group.labels).decode()
    sources = {batch.source for batch in batches}
    source = sources.pop() if len(sources) == 1 else group.labels.get("source.name", "")
    told_before = 0 if number == 0 else group.match_count
    event_id = f"{group.id}.{name or number}"
    return [
        {
            "id": delivery_id(group.rule_id, channel_id, event_id, event_at),
            "tenant": group.tenant,
            "rule_id": group.rule_id,
            "channel_id": channel_id,
            "rule": group.rule,
            "channel": channel,
            "event_id": event_id,
            "source": source,
            "matches": encoded,
            "match_count": count,
            "event_at": event_at,
            "group_id": group.id,
            "window_number": number,
            "kind": kind,
            "total_count": told_before + count,
            "severity": group.severity,
            "labels": labels,
            "reason": reason,
            "due_at": None,
            "state": "pending",
            "held_until": None,
            "held_by": None,
            "replay_of": None,
        }
        for channel_id, channel in group.channels
    ]


def highest_first(batches: Sequence[WaitingBatch]) -> list[Any]:
    """The matches of batches that a message stores, highest scores first."""
    if len(batches) == 1:
        return list(batches[0].matches[:MAX_STORED])
    matches = [match for batch in batches for match in batch.matches]
    matches.sort(key=_score, reverse=True)
    return matches[:MAX_STORED]


def _score(match: Any) -> int:
    score = match.get("score", 0) if isinstance(match, dict) else match.score
    return score if isinstance(score, int) else 0
