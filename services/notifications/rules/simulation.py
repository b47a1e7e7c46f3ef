"""What a rule would have told of past matches, decided by the engine that decides for real.

Time is that of the events: before an event is handled, the windows that have ended by then end.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from itertools import count, groupby
from uuid import UUID

from services.notifications.deliveries.service import NewDelivery
from services.notifications.groups.engine import (
    MatchSet,
    OpenGroup,
    WaitingBatch,
    add_matches,
    end_window,
)


@dataclass(slots=True)
class SimulatedGroup:
    """A group with all that it has told.

    Attributes:
        match_count: all of its matches.
        closed_at: None if it is open at the end.
    """

    group: OpenGroup
    match_count: int = 0
    messages: int = 0
    closed_at: datetime | None = None
    close_reason: str | None = None
    waiting: list[WaitingBatch] = field(default_factory=list)


class MemoryGroupStore:
    """A `GroupStore` in memory.

    Attributes:
        groups: all groups in the order of their openings.
        deliveries: messages by their ids.
    """

    def __init__(self) -> None:
        self.groups: list[SimulatedGroup] = []
        self.deliveries: dict[UUID, NewDelivery] = {}
        self._open: dict[tuple[UUID, str], SimulatedGroup] = {}
        self._ends: list[tuple[datetime, int, SimulatedGroup]] = []
        self._numbers = count()

    def open_groups(self, rule_id: UUID, keys: Collection[str]) -> dict[str, OpenGroup]:
        """The open groups of a rule by their keys."""
        return {key: self._open[rule_id, key].group for key in keys if (rule_id, key) in self._open}

    def reserve_openings(self, rule_id: UUID) -> int:
        """The number of groups of a rule that are open and tell by themselves."""
        groups = (own for (owner, _), own in self._open.items() if owner == rule_id)
        return sum(own.group.silence_id is None for own in groups)

    def insert_group(self, group: OpenGroup) -> None:
        """Keep a new group."""
        simulated = SimulatedGroup(group)
        self.groups.append(simulated)
        self._open[group.rule_id, group.key] = simulated
        if group.digest_id is None:
            self._schedule(simulated)

    def insert_batch(self, group: OpenGroup, matches: MatchSet, window_number: int | None) -> None:
        """Keep matches; without a number they wait."""
        simulated = self._open[group.rule_id, group.key]
        simulated.match_count += len(matches.matches)
        if window_number is None:
            batch = WaitingBatch(
                matches.source, matches.event_at, len(matches.matches), matches.matches
            )
            simulated.waiting.append(batch)

    def insert_deliveries(self, deliveries: Sequence[NewDelivery]) -> None:
        """Keep messages; one with the same id takes the place of the one before."""
        self.deliveries |= {each["id"]: each for each in deliveries}

    def end_windows(self, now: datetime) -> None:
        """End the windows that are over at a moment."""
        while self._ends and self._ends[0][0] <= now:
            moment, _, simulated = heappop(self._ends)
            self._end_window(simulated, moment)

    def _schedule(self, simulated: SimulatedGroup) -> None:
        heappush(self._ends, (simulated.group.window_ends_at, next(self._numbers), simulated))

    def _end_window(self, simulated: SimulatedGroup, now: datetime) -> None:
        group = simulated.group
        is_last = group.silence_id is not None
        waiting = [each for each in simulated.waiting if is_last or each.event_at < now]
        end = end_window(group, waiting, now)
        self.insert_deliveries(end.deliveries)
        simulated.waiting = [each for each in simulated.waiting if each not in waiting]
        if waiting:
            group.last_match_at = max(each.event_at for each in waiting)
        group.window_number = end.window_number
        group.window_ends_at = end.window_ends_at
        group.match_count = end.match_count
        if end.close_reason is None:
            self._schedule(simulated)
        else:
            simulated.closed_at = now
            simulated.close_reason = end.close_reason
            del self._open[group.rule_id, group.key]


def simulate(sets: Iterable[MatchSet], now: datetime) -> MemoryGroupStore:
    """Let the engine decide about past matches.

    Args:
        sets: of any order.
        now: the moment at which the past ends.
    """
    store = MemoryGroupStore()
    for (moment, _), of_event in groupby(sorted(sets, key=_moment), key=_event):
        store.end_windows(moment)
        add_matches(store, of_event)
    store.end_windows(now)
    by_id = {simulated.group.id: simulated for simulated in store.groups}
    for delivery in store.deliveries.values():
        if (group_id := delivery["group_id"]) is not None:
            by_id[group_id].messages += 1
    return store


def _event(matches: MatchSet) -> tuple[datetime, str]:
    return matches.event_at, matches.event_id


def _moment(matches: MatchSet) -> tuple[datetime, str, str]:
    return matches.event_at, matches.event_id, matches.key
