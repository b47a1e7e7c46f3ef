"""What time does to lists: members leave, and it is computed when they will."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.membership.fading import leaving_time
from services.observables.dissemination.membership.plan import EXPIRED, plan_membership
from services.observables.dissemination.membership.repository import changes, fill_log
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
    """Let members leave whose time has come, and compute when others will; how many left.

    Each list has a transaction of its own. A list that another one has locked is left for the next
    run: it keeps no other one waiting.
    """
    left = 0
    for list_id, ids in _choose(database, changes.leaving, _LEAVING).items():
        with database.transaction(PLATFORM) as session:
            left += _check_leaving(session, list_id, ids)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        dated = 0
        for list_id, ids in _choose(database, changes.undated, _DATED).items():
            with database.transaction(PLATFORM) as session:
                dated += _date_members(session, list_id, ids)
        if not dated:
            break
    return left


def _choose(
    database: Database, query: Callable[[Session, int], list[tuple[UUID, UUID]]], limit: int
) -> dict[UUID, list[UUID]]:
    by_list: dict[UUID, list[UUID]] = {}
    with database.transaction(PLATFORM) as session:
        for list_id, observable in query(session, limit):
            by_list.setdefault(list_id, []).append(observable)
    return by_list


def _check_leaving(session: Session, list_id: UUID, ids: Sequence[UUID]) -> int:
    row = changes.lock_free(session, list_id)
    if row is None:
        return 0
    now = database_now(session)
    states = read_states(session, row.tenant, ids)
    lasting = _lasting(row, states, now)
    dated = [(row.id, each, _leaves_at(row, each, states[each], now)) for each in lasting]
    others = dict.fromkeys(set(ids) - lasting, "time is over")
    present = changes.present_entries(session, [row.id], ids)[row.id]
    # A fill that goes on has staged them, maybe: it looks at them again.
    fill_log.note_changes(session, [row.id], others.keys(), is_immediate=False)
    changes.date_entries(session, dated)
    plan = plan_membership(row, {}, others, present, is_immediate=True)
    return apply_plans(session, [(row, plan)], is_judged=False)


def _date_members(session: Session, list_id: UUID, ids: Sequence[UUID]) -> int:
    """Compute when some members of a list leave; of how many."""
    row = changes.lock_free(session, list_id)
    if row is None:
        return 0
    now = database_now(session)
    states = read_states(session, row.tenant, ids)
    dated: list[_Dated] = []
    for observable in ids:
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
