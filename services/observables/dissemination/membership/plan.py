"""What changes of observables do to a list. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from services.observables.dissemination.lists.models import CAPACITY, ListRow

EXPIRED: Final = 20
"""Below this score an observable has expired, and no list has it."""


class SelectedObservable(NamedTuple):
    """An observable that a list's filter matches.

    Attributes:
        refusal: the guard that keeps it out; None if none does.
    """

    type: str
    value: str
    score: int
    refusal: str | None


class PresentEntry(NamedTuple):
    """What a list has to do with an observable so far.

    Attributes:
        refused_by: the guard, or `capacity`; None of a member.
        is_leaving: whether there is a time at which it leaves.
    """

    type: str
    value: str
    score: int
    refused_by: str | None
    is_leaving: bool


class EntryStep(NamedTuple):
    """An observable that joins a list, leaves it, or is refused, and why."""

    observable: UUID
    type: str
    value: str
    score: int
    reason: str


@dataclass(slots=True)
class MembershipPlan:
    """What becomes of a list's entries.

    Attributes:
        joins: new members.
        refusals: observables that a guard, or the capacity, keeps out from now on.
        departures: members that are no members any more; those that are refused instead are among
            the refusals as well.
        removals: refused observables that match no more.
        rescored: entries whose score has changed.
        graces: members that match no more, and leave when their grace is over.
    """

    joins: list[EntryStep] = field(default_factory=list)
    refusals: list[EntryStep] = field(default_factory=list)
    departures: list[EntryStep] = field(default_factory=list)
    removals: list[UUID] = field(default_factory=list)
    rescored: list[tuple[UUID, int]] = field(default_factory=list)
    graces: list[UUID] = field(default_factory=list)


def plan_membership(
    row: ListRow,
    matches: Mapping[UUID, SelectedObservable],
    others: Mapping[UUID, str],
    present: Mapping[UUID, PresentEntry],
    *,
    is_immediate: bool,
) -> MembershipPlan:
    """Plan what changes of observables do to a list.

    Args:
        row: the list. With a capacity, new matches wait for room as refused ones.
        matches: those that it selects, by id.
        others: those that it does not select, by id, with the reason for leaving.
        present: the entries among all of them.
        is_immediate: whether nothing stays for its grace time, because a person has judged.
    """
    plan = MembershipPlan()
    for observable, match in matches.items():
        _plan_match(plan, row, observable, match, present.get(observable))
    has_grace = row.grace_seconds > 0 and not is_immediate
    for observable in others.keys() & present.keys():
        _plan_other(plan, observable, present[observable], others[observable], has_grace)
    return plan


def _plan_match(
    plan: MembershipPlan,
    row: ListRow,
    observable: UUID,
    match: SelectedObservable,
    entry: PresentEntry | None,
) -> None:
    type_, value, score, refusal = match
    waits = refusal is None and row.capacity is not None
    is_member = entry is not None and entry.refused_by is None
    if refusal is None and is_member:
        if entry is not None and (entry.score != score or entry.is_leaving):
            plan.rescored.append((observable, score))
        return
    due = CAPACITY if waits else refusal
    if due is None:
        plan.joins.append(EntryStep(observable, type_, value, score, "it matches"))
        return
    if entry is not None and entry.refused_by == due:
        if entry.score != score:
            plan.rescored.append((observable, score))
        return
    if is_member:
        plan.departures.append(EntryStep(observable, type_, value, score, f"refused: {due}"))
    plan.refusals.append(EntryStep(observable, type_, value, score, due))


def _plan_other(
    plan: MembershipPlan, observable: UUID, entry: PresentEntry, reason: str, has_grace: bool
) -> None:
    if entry.refused_by is not None:
        plan.removals.append(observable)
    elif not has_grace:
        step = EntryStep(observable, entry.type, entry.value, entry.score, reason)
        plan.departures.append(step)
    else:
        plan.graces.append(observable)
