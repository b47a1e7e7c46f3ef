"""Apply plans to lists: entries, numbered changes, capacity, and the stop of what is not normal.

The lists are locked. Changes are numbered in the order of commits, since the lock of a list's row
is held until then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.models import CAPACITY, ListRow
from services.observables.dissemination.lists.news import held_event
from services.observables.dissemination.membership.bands import disaster
from services.observables.dissemination.membership.plan import EntryStep, MembershipPlan
from services.observables.dissemination.membership.repository import changes as repository
from services.observables.dissemination.membership.repository.changes import AddedChange
from shared.clock import database_now
from shared.kafka.outbox import publish
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_NORMAL_AFTER: Final = timedelta(hours=1)
"""A size that a list has had for so long is normal."""


@dataclass(slots=True)
class _Outcome:
    """What one list's plan comes to.

    Attributes:
        departures: members that leave, in order.
        joins: members that join, in order.
    """

    row: ListRow
    departures: list[EntryStep]
    joins: list[EntryStep]


def apply_plans(
    session: Session, plans: Iterable[tuple[ListRow, MembershipPlan]], *, is_judged: bool
) -> int:
    """Apply plans of locked lists.

    Args:
        session: a transaction that may write the lists' tenants.
        plans: at most one for each list.
        is_judged: whether a person has caused them; then nothing is stopped.

    Returns:
        The number of members that joined or left.
    """
    work = [(row, plan) for row, plan in plans if _has_effect(plan)]
    if not work:
        return 0
    moment = database_now(session)
    _write_entries(session, work, moment)
    outcomes = [
        _Outcome(row, list(plan.departures), list(plan.joins))
        for row, plan in work
        if plan.departures or plan.joins or row.capacity is not None
    ]
    for outcome in outcomes:
        if outcome.row.capacity is not None:
            _rebalance(session, outcome, outcome.row.capacity)
    numbered = number_changes(outcomes)
    repository.add_changes(session, numbered, moment)
    members = [change for change in numbered if change.kind == "in"]
    repository.put_entries(
        session,
        [(each.tenant, each.list_id, None, each.number, each.step) for each in members],
        moment,
    )
    for outcome in outcomes:
        close_version(
            session,
            outcome.row,
            outcome.row.last_change_number + len(outcome.joins) + len(outcome.departures),
            outcome.row.members + len(outcome.joins) - len(outcome.departures),
            moment,
            is_judged=is_judged,
        )
    return len(numbered)


def _has_effect(plan: MembershipPlan) -> bool:
    return bool(
        plan.joins
        or plan.refusals
        or plan.departures
        or plan.removals
        or plan.rescored
        or plan.graces
    )


def _write_entries(
    session: Session, work: list[tuple[ListRow, MembershipPlan]], moment: datetime
) -> None:
    """Write all entries but those of new members, whose numbers are not known yet."""
    stale: list[tuple[UUID, UUID]] = []
    refused: list[tuple[str, UUID, str | None, int, EntryStep]] = []
    rescored: list[tuple[UUID, UUID, int]] = []
    graces: list[tuple[UUID, UUID]] = []
    for row, plan in work:
        stale += [(row.id, step.observable) for step in plan.departures]
        stale += [(row.id, observable) for observable in plan.removals]
        refused += [(row.tenant, row.id, step.reason, 0, step) for step in plan.refusals]
        rescored += [(row.id, *pair) for pair in plan.rescored]
        graces += [(row.id, observable) for observable in plan.graces]
    repository.delete_entries(session, stale)
    repository.put_entries(session, refused, moment)
    repository.rescore_entries(session, rescored)
    repository.grant_grace(session, graces, moment)


def _rebalance(session: Session, outcome: _Outcome, capacity: int) -> None:
    """Let the highest scores fill a list."""
    for step, is_member in repository.rebalance(session, outcome.row.id, capacity):
        if is_member:
            outcome.departures.append(step._replace(reason="over capacity"))
        else:
            outcome.joins.append(step._replace(reason="there is room"))
    displaced = [
        (outcome.row.tenant, outcome.row.id, CAPACITY, 0, step)
        for step in outcome.departures
        if step.reason == "over capacity"
    ]
    repository.put_entries(session, displaced, database_now(session))


def number_changes(outcomes: Iterable[_Outcome]) -> list[AddedChange]:
    """The changes of some lists, those of each with consecutive numbers; who leaves comes first."""
    changes: list[AddedChange] = []
    for outcome in outcomes:
        row = outcome.row
        number = row.last_change_number
        for kind, steps in (("out", outcome.departures), ("in", outcome.joins)):
            for step in steps:
                number += 1
                changes.append(AddedChange(row.tenant, row.id, number, kind, step))
    return changes


def close_version(
    session: Session,
    row: ListRow,
    number: int,
    members: int,
    moment: datetime,
    *,
    is_judged: bool,
) -> None:
    """Store the number of a list's newest change, and let it leave unless it is a disaster.

    Args:
        session: the transaction of the change.
        row: the list as it was before.
        number: of the newest change.
        members: how many there are now.
        moment: the database's time.
        is_judged: whether a person has caused it.
    """
    values: dict[str, Any] = {"last_change_number": number, "members": members}
    if row.state == "active":
        reason = None if is_judged else disaster(row, members)
        if reason is None:
            values["published_number"] = number
            values |= _baseline(row, members, moment)
        else:
            values |= {"state": "held", "held_reason": reason, "held_at": moment}
            publish(session, [held_event(row, reason, members)])
            log.warning("list.held", tenant=row.tenant, list=row.name, reason=reason)
    repository.update_list(session, row.id, values)


def _baseline(row: ListRow, members: int, moment: datetime) -> dict[str, Any]:
    """The size of a list becomes normal after a while."""
    if moment - row.baseline_at < _NORMAL_AFTER:
        return {}
    return {"baseline": members, "baseline_at": moment}
