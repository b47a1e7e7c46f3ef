"""Fill lists that are new or were edited: all observables are looked at, once.

A fill looks at the observables without the lock of its list, so that events and sweeps go on. They
note what they change meanwhile; the fill looks at that again before it changes the list. While it
does, changes of this list are noted alone, and applied when it has ended. So none waits for a
fill, and none is lost.
"""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.membership.plan import (
    SelectedObservable,
    plan_membership,
)
from services.observables.dissemination.membership.repository import changes, fill_log, fills
from services.observables.dissemination.membership.selection import select_members
from services.observables.dissemination.membership.service import apply_plans
from services.observables.quotas.limits import LIST_ENTRIES
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError
from shared.filters.matcher import Environment
from shared.quotas import require_room
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE: Final = 300
"""Seconds that one statement may take."""
_PIECE: Final = 5_000
"""Notes that are looked at again at once."""
_ROUNDS: Final = 200
"""So often a fill looks again at what changed meanwhile; the rest is followed when it has ended."""
_LAST_ROUNDS: Final = 5
"""As `_ROUNDS`, when the list is locked."""


class _ListEdited(Exception):  # no failure: the fill begins anew
    """The list was edited, or deleted, while it was filled."""


def fill_lists(database: Database) -> int:
    """Fill all lists that were edited since they were filled; how many were.

    A list that cannot be filled is tried again later and later, unless it is edited.
    """
    with database.transaction(PLATFORM) as session:
        changes.renew_marked(session)
        waiting = changes.unfilled(session)
    filled = 0
    for list_id, revision in waiting:
        try:
            filled += fill_list(database, list_id)
        except SentinelIQError as error:
            with database.transaction(PLATFORM) as session:
                pause = changes.note_failure(session, list_id, revision, error.message)
            log.warning(
                "list.not_filled",
                list=str(list_id),
                reason=error.message,
                again_in_seconds=pause,
            )
    with database.transaction(PLATFORM) as session:
        unfinished = fill_log.open_fills(session)
    for list_id in unfinished:
        try:
            follow_fill(database, list_id)
        except SentinelIQError as error:
            log.warning("list.not_followed", list=str(list_id), reason=error.message)
    return filled


def fill_list(database: Database, list_id: UUID) -> bool:
    """Fill a list. Its lock is held while the difference is applied, not before.

    Returns:
        Whether it was filled. It is not where that is not needed, where another process does, or
        where it was edited meanwhile.
    """
    try:
        with database.transaction(PLATFORM, PATIENCE) as session:
            if not fill_log.claim_fill(session, list_id):
                return False
            row = _begin(database, list_id)
            if row is None:
                return False
            environment = Environment(database_now(session))
            fills.stage(session, select_members(session, row, environment))
            _stage_changes(session, row, _ROUNDS)
            fills.analyze_stage(session)
            with database.transaction(PLATFORM) as own:
                fill_log.advance_fill(own, list_id, fill_log.APPLYING)
            members = _apply(session, row)
    except _ListEdited:
        return False
    log.info("list.filled", tenant=row.tenant, list=row.name, members=members)
    return True


def follow_fill(database: Database, list_id: UUID) -> int:
    """Look again at what changed while a list was filled, in small pieces; at how much.

    A fill that ended without its end, because its process was killed or it failed, is ended here.
    """
    with database.transaction(PLATFORM) as session:
        if not fill_log.claim_fill(session, list_id):
            return 0
        fill_log.advance_fill(session, list_id, fill_log.FOLLOWING)
    total = 0
    while count := _follow_piece(database, list_id):
        total += count
    return total


def _follow_piece(database: Database, list_id: UUID) -> int:
    with database.transaction(PLATFORM) as session:
        if not fill_log.claim_fill(session, list_id):
            return 0
        noted = fill_log.take_changes(session, list_id, _PIECE)
        if not noted:
            fill_log.end_fill(session, list_id)
            return 0
        for is_immediate in (True, False):
            ids = [each for each, is_judged in noted.items() if is_judged is is_immediate]
            rows = changes.lock_some(session, [list_id])
            if ids and rows and rows[0].filled_revision > 0:
                _select_anew(session, rows[0], ids, is_immediate=is_immediate)
    return len(noted)


def _select_anew(
    session: Session, row: ListRow, ids: Collection[UUID], *, is_immediate: bool
) -> None:
    """Let a locked list have of some observables what it selects now."""
    environment = Environment(database_now(session))
    matches = {
        each.observable: SelectedObservable(each.type, each.value, each.score, each.refused_by)
        for page in select_members(session, row, environment, ids)
        for each in page
    }
    reason = "a report about it" if is_immediate else "it matches no more"
    others = dict.fromkeys(set(ids) - matches.keys(), reason)
    present = changes.present_entries(session, [row.id], list(ids))[row.id]
    plan = plan_membership(row, matches, others, present, is_immediate=is_immediate)
    apply_plans(session, [(row, plan)], is_judged=is_immediate)


def _begin(database: Database, list_id: UUID) -> ListRow | None:
    """Let changes be noted from now on; None where the list needs no fill."""
    with database.transaction(PLATFORM) as session:
        row = changes.read_list(session, list_id)
        if row is None or row.filled_revision == row.revision:
            return None
        fill_log.begin_fill(session, list_id)
        changes.note_sources(session, list_id)
    return row


def _stage_changes(session: Session, row: ListRow, rounds: int) -> None:
    """Stage anew what changed meanwhile, until nothing of it is left, or some rounds are over."""
    for _ in range(rounds):
        noted: Mapping[UUID, bool] = fill_log.take_changes(session, row.id, _PIECE)
        if not noted:
            return
        fills.unstage(session, noted)
        environment = Environment(database_now(session))
        fills.stage(session, select_members(session, row, environment, noted))


def _apply(session: Session, row: ListRow) -> int:
    """Lock the list, and apply what is staged; the members.

    Raises:
        _ListEdited: it is to be filled otherwise.
        QuotaExceeded: the tenant's lists would have more members than they may.
    """
    rows = changes.lock_some(session, [row.id])
    if not rows or rows[0].revision != row.revision:
        raise _ListEdited
    locked = rows[0]
    _stage_changes(session, locked, _LAST_ROUNDS)
    moment = database_now(session)
    version = fills.apply_stage(session, locked, moment)
    require_room(session, locked.tenant, LIST_ENTRIES, version.members - locked.members)
    number = locked.last_change_number + version.joins + version.departures
    values = {
        "last_change_number": number,
        "members": version.members,
        "filled_revision": locked.revision,
        "fill_error": "",
        "fill_failures": 0,
        "fill_again_at": None,
    }
    if locked.state == "active":
        values |= {
            "published_number": number,
            "baseline": version.members,
            "baseline_at": moment,
        }
    changes.update_list(session, row.id, values)
    # The last statement: whoever applies changes waits from here on until this ends.
    fill_log.advance_fill(session, row.id, fill_log.FOLLOWING)
    return version.members
