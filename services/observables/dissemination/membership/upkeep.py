"""What time does to lists: members leave, and it is computed when they will."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.membership.fading import leaving_time
from services.observables.dissemination.membership.plan import (
    EXPIRED,
    MembershipPlan,
    plan_membership,
)
from services.observables.dissemination.membership.repository import changes
from services.observables.dissemination.membership.service import apply_plans
from services.observables.dissemination.membership.subjects import read_states, subject_of
from services.observables.scoring.inputs import ObservableState
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.filters.matcher import Environment

_LEAVING: Final = 10_000
"""Members that leave in one transaction."""
_DATED: Final = 500
_SECONDS: Final = 2.0
"""Of one run: other sweeps wait for the processor as well."""

_Dated = tuple[UUID, UUID, datetime | None]


def check_entries(database: Database) -> int:
    """Let members leave whose time has come, and compute when others will; how many left."""
    with database.transaction(PLATFORM) as session:
        left = _check_leaving(session)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with database.transaction(PLATFORM) as session:
            if not _date_members(session):
                break
    return left


def _check_leaving(session: Session) -> int:
    due = changes.leaving(session, _LEAVING)
    by_list = _grouped(due)
    now = database_now(session)
    plans: list[tuple[ListRow, MembershipPlan]] = []
    dated: list[_Dated] = []
    for row in changes.lock_some(session, list(by_list)):
        ids = by_list[row.id]
        states = read_states(session, row.tenant, ids)
        lasting = _lasting(row, states, now)
        dated += [(row.id, each, _leaves_at(row, each, states[each], now)) for each in lasting]
        others = dict.fromkeys(set(ids) - lasting, "time is over")
        present = changes.present_entries(session, [row.id], ids)[row.id]
        plans.append((row, plan_membership(row, {}, others, present, is_immediate=True)))
    changes.date_entries(session, dated)
    return apply_plans(session, plans, is_judged=False)


def _date_members(session: Session) -> int:
    """Compute when some members leave; of how many."""
    by_list = _grouped(changes.undated(session, _DATED))
    now = database_now(session)
    dated: list[_Dated] = []
    for row in changes.lock_some(session, list(by_list)):
        states = read_states(session, row.tenant, by_list[row.id])
        for observable in by_list[row.id]:
            state = states.get(observable)
            leaves_at = None if state is None else _leaves_at(row, observable, state, now)
            dated.append((row.id, observable, leaves_at))
    changes.date_entries(session, dated)
    return len(dated)


def _lasting(row: ListRow, states: dict[UUID, ObservableState], now: datetime) -> set[UUID]:
    """Those of some observables that a list still selects."""
    subjects = [subject_of(observable, state, now) for observable, state in states.items()]
    alive = [subject for subject in subjects if subject.score >= EXPIRED]
    chosen = parse_list_filter(row.filter).selector(alive, Environment(now))
    return {UUID(subject.id[-36:]) for subject in chosen}


def _leaves_at(
    row: ListRow, observable: UUID, state: ObservableState, now: datetime
) -> datetime | None:
    """When time takes a member out, its grace included."""
    faded_at = leaving_time(row.filter, subject_of(observable, state, now), state, now)
    return None if faded_at is None else faded_at + timedelta(seconds=row.grace_seconds)


def _grouped(pairs: Sequence[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    by_list: dict[UUID, list[UUID]] = {}
    for list_id, observable in pairs:
        by_list.setdefault(list_id, []).append(observable)
    return by_list
